"""A small demo from end to end: its stores, its table, its logs, and a second call."""

import re
import subprocess
import sys
from collections import namedtuple
from contextlib import redirect_stdout
from io import StringIO

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import map_coordinates
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_coiba.contracts import InputError
from lit_coiba.data.synthetic import SyntheticPartsDataset
from lit_coiba.data.synthetic.dataset import SPLITS
from lit_coiba.demo import demo
from lit_coiba.store import ExplanationStore

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*survive pure noise in all places of blocks.0"
)  # the small ViT, for IBA

Run = namedtuple("Run", "status text folder")
METHODS = ("CoIBA", "IBA", "Saliency", "Random")
STORES = {(m, name): f"synthetic_parts_{m.lower()}_6/{name.lower()}" for m in ("ViT", "CNN") for name in METHODS}


@pytest.fixture(scope="module", autouse=True)
def few_test_images():
    """200 instead of 1000, from which the activation statistics come."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SPLITS, "test", range(11_000, 11_200))
        yield


def call(folder):
    with redirect_stdout(StringIO()) as text:
        status = demo(str(folder), images=6, photos=False, steps=3)
    return Run(status, text.getvalue(), folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return call(tmp_path_factory.mktemp("demo"))


def lines(text):
    """(model, method) -> the numbers of its line in the table."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("\u2502")[1:-1]]
        if len(cells) == 6 and (cells[0], cells[1]) in STORES:
            found[cells[0], cells[1]] = [
                float(n) for n in re.findall(r"\d+(?:\.\d+)?(?:e[+-]\d+)?", " ".join(cells[2:]))
            ]
    return found


def measured(path):
    """Energies of a store on the parts and the parts' share of the area, written once more with numpy and scipy."""
    dataset = SyntheticPartsDataset("test")
    energies, areas = [], []
    for row in ExplanationStore(path):
        parts = dataset.masks(int(row.id.split("-")[1]) - 11_000).numpy().any(0)
        h, w = row.map.shape
        y, x = np.mgrid[:64, :64]
        where = [np.clip((y + 0.5) * h / 64 - 0.5, 0, h - 1), np.clip((x + 0.5) * w / 64 - 0.5, 0, w - 1)]
        values = np.maximum(map_coordinates(row.map.double().numpy(), where, order=1, mode="nearest"), 0)
        energies.append(values[parts].sum() / values.sum())
        areas.append(parts.mean())
    return np.array(energies), np.mean(areas)


def test_status_and_files(run):
    assert run.status == 0
    for name in STORES.values():
        assert len(ExplanationStore(run.folder / name)) == 6
        with Image.open(run.folder / name / "contact_sheet.png") as sheet:
            assert sheet.width > 600
        assert f"{name}/contact_sheet.png" in run.text
    assert (run.folder / "demo.png").exists()
    assert f"tensorboard --logdir {run.folder / 'tensorboard'}" in run.text


def test_numbers_of_the_table(run):
    table = lines(run.text)
    assert table.keys() == STORES.keys()
    draws = np.random.default_rng(1).integers(6, size=(20_000, 6))
    for key, (energy, low, high, chance, rate) in table.items():
        energies, area = measured(run.folder / STORES[key])
        assert energy == pytest.approx(energies.mean(), abs=6e-4)
        assert chance == pytest.approx(area, abs=6e-4)
        assert [low, high] == pytest.approx(np.quantile(energies[draws].mean(1), [0.025, 0.975]), abs=0.015)
        assert rate > 0


def test_maps_lie_on_the_parts_and_random_ones_do_not(run):
    for (_, method), (energy, low, _, chance, _) in lines(run.text).items():
        if method == "Random":
            assert energy == pytest.approx(chance, abs=0.03)
        else:
            assert low > chance


def test_logs(run):
    events = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    for (model, method), (energy, low, high, chance, rate) in lines(run.text).items():
        names = {"mean": energy, "low": low, "high": high, "chance": chance}
        for name, value in names.items():
            (scalar,) = events.Scalars(f"energy on parts ({name})/{model}/{method}")
            assert scalar.value == pytest.approx(value, abs=6e-4)
        (scalar,) = events.Scalars(f"images per second/{model}/{method}")
        assert scalar.value == pytest.approx(rate, rel=0.01)
        (image,) = events.Images(f"{model}/{method}")
        with Image.open(run.folder / STORES[model, method] / "contact_sheet.png") as sheet:
            assert (image.width, image.height) == sheet.size


def test_a_second_call_does_nothing_twice(run):
    blocks = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*.parquet")}
    assert len(blocks) >= 8
    again = call(run.folder)
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*.parquet")} == blocks
    assert lines(again.text) == lines(run.text)
    assert len(list((run.folder / "tensorboard").iterdir())) == 1


@pytest.mark.parametrize("arguments", [{"images": 0}, {"steps": 1}])
def test_arguments_out_of_range(tmp_path, arguments):
    with pytest.raises(InputError, match="at least"):
        demo(str(tmp_path), **arguments)


def test_photographs_are_left_out_with_a_sentence(tmp_path, monkeypatch, capsys):
    from lit_coiba.demo import photographs, report, synthetic

    monkeypatch.setattr(synthetic, "explain", lambda *_: [])
    monkeypatch.setattr(report, "write", lambda *_: None)
    monkeypatch.setattr(photographs, "find_spec", lambda name: None if name == "skimage" else object())
    assert demo(str(tmp_path)) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Photographs are left out" in said
    assert "scikit-image" in said
    assert "efficientnet" not in said
    assert "pip install 'lit-coiba[demo]'" in said


def test_help_does_not_wait_for_torch():
    code = "import sys; from lit_coiba.demo import demo; sys.exit('torch' in sys.modules or 'rich' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
