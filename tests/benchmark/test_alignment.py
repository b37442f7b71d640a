"""The suite of alignment on images with people's maps, from files to the table."""

import os

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr

from lit_coiba.attribution import Saliency
from lit_coiba.benchmark import DatasetRegions
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data import ImageFolder
from lit_coiba.data.transforms import Transform
from lit_coiba.metrics import HumanAlignment, MarkedReliance
from lit_coiba.metrics.suites import load_suite
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.scorer import Scorer
from lit_coiba.store import ExplanationStore
from tests._testers import tiny
from tests._testers.alignment import smoothed
from tests._testers.runs import make_trainer

SIDE = 32
NAMES = ["a.png", "b.png", "c.png", "d.png", "e.png"]


@pytest.fixture(scope="module")
def model():
    return tiny.vit()


@pytest.fixture
def folder(tmp_path):
    """Five images; the third has no map, the fourth one that is the same everywhere, the last one of another size."""
    (tmp_path / "images").mkdir()
    (tmp_path / "maps").mkdir()
    draw = np.random.default_rng(0)
    for name in NAMES:
        Image.fromarray(draw.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)).save(tmp_path / "images" / name)
    for name in ("a", "b"):
        np.save(tmp_path / f"maps/{name}.npy", draw.random((SIDE, SIDE), dtype=np.float32))
    np.save(tmp_path / "maps/d.npy", np.ones((SIDE, SIDE), np.float32))
    np.save(tmp_path / "maps/e.npy", np.ones((SIDE, SIDE // 2), np.float32))
    return tmp_path


def images_of(folder):
    return ImageFolder(str(folder / "images"), importance=str(folder / "maps"), num_workers=0, batch_size=2)


@pytest.mark.filterwarnings("ignore")
def test_the_table_has_the_suite_of_alignment(folder, model):
    run, data = make_trainer(), images_of(folder)
    run.explain(Explainer(model, Saliency()), data, str(folder / "store"), pictures=False)
    scorer = Scorer(model, load_suite("alignment"))
    board = make_trainer().benchmark(scorer, data, [str(folder / "store")], str(folder / "table"), pictures=False)
    table = board.to_pandas().reset_index()
    assert table["id"].tolist() == NAMES[:4]  # the last one's map does not fit: a failure of its own
    store = ExplanationStore(folder / "store")
    alignment = table["store", "alignment"].tolist()
    for index in range(2):
        given = Image.fromarray(np.load(folder / f"maps/{NAMES[index][0]}.npy"))
        larger = int(SIDE / model.preprocessing.crop_pct)
        cut = round((larger - SIDE) / 2)
        seen = np.asarray(given.resize((larger, larger), Image.Resampling.BILINEAR))[cut:, cut:][:SIDE, :SIDE]
        people = smoothed(seen.astype(np.float64))
        map = store[store.keys()[index]].map
        assert alignment[index] == pytest.approx(spearmanr(map.ravel(), people.ravel()).statistic, abs=1e-4)
    assert np.isnan(alignment).tolist() == [False, False, True, True]
    for column in ("dice", "iou", "logit_marked", "logit_rest", "accuracy_marked", "accuracy_rest"):
        assert table["store", column].isna().tolist() == [False, False, True, True]
        if column.startswith(("logit", "accuracy")):
            same = table["Random", column] == table["store", column]
            assert same[:2].all()  # of the model, whatever the map
    assert [failure.id for failure in ExplanationStore(folder / "table/store").failures()] == ["e.png"]
    assert ExplanationStore(folder / "table/store")[NAMES[0], int(table["target"][0])].extras["alignment/constant"] == 0

    os.utime(folder / "maps/b.npy", ns=(5, 5))
    with pytest.raises(InputError, match="its importance map is another one"):
        make_trainer().benchmark(scorer, data, [str(folder / "store")], str(folder / "table"), pictures=False)


def test_maps_at_the_models_input(folder):
    data = images_of(folder)
    transform = Transform(Preprocessing((20, 24), 0.9))
    regions = DatasetRegions(data.dataset("predict"), transform)
    first = data.dataset("predict").importance(0)
    assert torch.equal(regions.importance("a.png"), transform.importance(first))
    assert regions.importance("c.png") is None
    assert regions.mapped
    assert not regions.known
    with pytest.warns(UserWarning, match="the same everywhere"):
        assert regions.importance("d.png") is None
    with pytest.raises(OSError, match="has 16 x 32 pixels, but its image has 32 x 32"):
        regions.importance("e.png")


def test_metrics_of_alignment_without_maps_are_refused_or_told(folder, model):
    data = ImageFolder(str(folder / "images"))
    regions = DatasetRegions(data.dataset("predict"), Transform(model.preprocessing))
    scorer = Scorer(model, {"alignment": HumanAlignment(), "drop": MarkedReliance()})
    message = "metrics: alignment, drop need importance maps of people, and no image has any: give them with the data"
    with pytest.raises(InputError, match=message):
        scorer.check_metrics(regions)
