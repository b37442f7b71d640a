"""The folder of optimized images: items are whole or missing, and what is foreign or damaged is one sentence."""

import json
import os
import shutil

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from lit_coiba.core.errors import InputError
from lit_coiba.feature_visualization import VisualizationItem, VisualizationRun
from lit_coiba.feature_visualization.measures import MEASURES, Each, Measures, write_measures
from lit_coiba.feature_visualization.visualization_item import FEATURES, PICTURE, TOLD, is_whole, write_item
from lit_coiba.feature_visualization.visualization_run import ITEMS, RUN, VERB, claim_identity
from lit_coiba.files.owned import claim_folder

ITEM = VisualizationItem(
    key="class_00003",
    kind="class",
    name="tench",
    method="MACO",
    steps=8,
    of="abc",
    score_first=0.5,
    score_last=2.5,
    cls=3,
    held_out=2.0,
    transferability={"other": (1.0, 0.25)},
)
IDENTITY = {
    "model": "m",
    "preprocessing": {"size": [16, 16]},
    "visualizer": {"class": "MACO", "steps": 8},
    "class_names": ["a", "b"],
    "others": {},
}


def write(folder, item=ITEM, seed=0, features=True):
    random = torch.Generator().manual_seed(seed)
    smooth = torch.nn.functional.interpolate(torch.rand(1, 4, 4, 6, generator=random), (32, 48), mode="bilinear")[0]
    vector = torch.arange(5.0) if features else None
    return write_item(folder / ITEMS, item, smooth[:3], smooth[3], vector), smooth


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "run"
    claim_folder(folder, "output", VERB)
    claim_identity(folder, IDENTITY, {"torch": "2"})
    return folder


def test_an_item_comes_back_with_its_pictures(folder):
    made, pixels = write(folder)
    assert made
    run = VisualizationRun(folder)
    assert run.items == (ITEM,)
    assert run["class_00003"] == ITEM
    assert "class_00003" in run
    assert len(run) == 1
    assert (run.about.model, run.about.class_names, run.measures) == ("m", ["a", "b"], None)
    picture, transparency = (np.asarray(one("class_00003")) / 255 for one in (run.picture, run.transparency))
    assert (picture.shape, transparency.shape) == ((32, 48, 3), (32, 48, 4))
    wanted = pixels.permute(1, 2, 0).numpy()
    assert np.abs(picture - wanted[..., :3]).mean() < 0.02
    assert np.abs(transparency[..., 3] - wanted[..., 3]).max() < 0.003  # opacity is kept as it is
    assert run.features("class_00003").tolist() == [0, 1, 2, 3, 4]


def test_a_model_without_features(folder):
    write(folder, features=False)
    assert VisualizationRun(folder).features("class_00003") is None


def test_the_first_of_two_writers_counts(folder):
    first, _ = write(folder)
    before = (folder / ITEMS / ITEM.key / PICTURE).read_bytes()
    second, _ = write(folder, seed=1)
    assert (first, second) == (True, False)
    assert (folder / ITEMS / ITEM.key / PICTURE).read_bytes() == before
    assert [entry.name for entry in (folder / ITEMS).iterdir()] == [ITEM.key]


@pytest.mark.parametrize("damage", ["picture", "text", "value", "missing", "features", "name"])
def test_a_torn_item_is_missing_and_made_anew(folder, damage):
    write(folder)
    place = folder / ITEMS / ITEM.key
    told = json.loads((place / TOLD).read_text())
    if damage == "picture":
        (place / PICTURE).write_bytes((place / PICTURE).read_bytes()[:-1])
    elif damage == "text":
        (place / TOLD).write_text((place / TOLD).read_text()[:40])
    elif damage == "value":
        (place / TOLD).write_text(json.dumps({**told, "score_last": 99.0}))
    elif damage == "missing":
        (place / PICTURE).unlink()
    elif damage == "features":
        content = bytearray((place / FEATURES).read_bytes())
        content[-1] ^= 1
        (place / FEATURES).write_bytes(bytes(content))
    else:
        os.rename(place, folder / ITEMS / "class_00004")
        place = folder / ITEMS / "class_00004"
    assert not is_whole(place)
    assert VisualizationRun(folder).items == ()
    made, _ = write(folder)
    assert made
    assert VisualizationRun(folder).items == (ITEM,)


def test_what_is_in_the_way_of_an_item(folder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    (folder / ITEMS).mkdir()
    (folder / ITEMS / ITEM.key).symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match="is in the way of an item: move it away"):
        write(folder)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"


def test_folders_that_are_none(folder, tmp_path):
    with pytest.raises(InputError, match="is not a folder that lit-coiba visualize has written"):
        VisualizationRun(tmp_path / "nowhere")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / RUN).write_text("{}")
    with pytest.raises(InputError, match="is not a folder that lit-coiba visualize has written"):
        VisualizationRun(tmp_path / "other")
    content = (folder / RUN).read_text()
    for text, said in (
        (content.replace('"m"', '"n"'), "its content is not what its digest says"),
        ("[", "is damaged"),
        ("{}", "its content is not"),
    ):
        (folder / RUN).write_text(text)
        with pytest.raises(InputError, match=said) as told:
            VisualizationRun(folder)
        assert "\n" not in str(told.value)
    (folder / RUN).unlink()
    with pytest.raises(InputError, match=r"has no run\.json: run lit-coiba visualize again"):
        VisualizationRun(folder)


def test_another_identity_is_refused_by_what_differs(folder):
    claim_identity(folder, IDENTITY, {"torch": "3"})  # versions may differ
    with pytest.raises(InputError, match=r"visualizations of another run \(other visualizer, class names\)"):
        claim_identity(folder, {**IDENTITY, "visualizer": {"class": "MACO", "steps": 9}, "class_names": []}, {})


def test_an_item_that_there_is_not(folder):
    with pytest.raises(InputError, match="has no class_00009"):
        VisualizationRun(folder).picture("class_00009")


def test_a_picture_that_is_none_is_a_sentence(folder, monkeypatch):
    write(folder)
    run = VisualizationRun(folder)
    Image.new("RGB", (20, 20)).save(folder / ITEMS / ITEM.key / PICTURE, "PNG")
    with pytest.raises(InputError, match=r"picture\.webp cannot be read"):
        run.picture(ITEM.key)


def test_measures_are_those_of_the_items_that_they_were_made_of(folder):
    write(folder)
    each = {"class_00003": Each("abc", 0.75, 1.5), "class_00004": Each("x", 0.5, None)}
    measures = Measures(
        of="d",
        images=7,
        fid=2.0,
        plausibility=0.625,
        held_out=2.0,
        held_out_real=1.5,
        above_real=1,
        each=each,
    )
    write_measures(folder / MEASURES, measures)
    run = VisualizationRun(folder)
    assert run.measures == measures
    assert run.items == (msgspec.structs.replace(ITEM, plausibility=0.75, held_out_real=1.5),)
    write_measures(folder / MEASURES, msgspec.structs.replace(measures, each={"class_00003": Each("y", 0.75, 1.5)}))
    assert VisualizationRun(folder).items == (ITEM,)
    (folder / MEASURES).write_text("{}")
    assert VisualizationRun(folder).measures is None
    shutil.rmtree(folder / ITEMS)
    assert VisualizationRun(folder).items == ()
