"""A small demo from end to end: its stores, its table, its logs, and a second call."""

import csv
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

from lit_coiba.core.errors import InputError
from lit_coiba.data.synthetic import SyntheticPartsDataset
from lit_coiba.data.synthetic.dataset import SPLITS
from lit_coiba.demo import demo
from lit_coiba.store import ExplanationStore

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*survive pure noise in all patches of blocks.0"
)  # the small ViT, for IBA

Run = namedtuple("Run", "status text folder")
METRICS = ("insertion", "deletion", "energy", "insertion - deletion")
METHODS = ("CoIBA", "ReadoutCoIBA", "IBA", "Saliency", "Random")
STORES = {(m, name): f"synthetic_parts_{m.lower()}_6/{name}" for m in ("ViT", "CNN") for name in METHODS}


@pytest.fixture(scope="module", autouse=True)
def few_test_images():
    """200 instead of 1000, from which the activation statistics come."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SPLITS, "test", range(11_000, 11_200))
        yield


def call(folder):
    with redirect_stdout(StringIO()) as text:
        status = demo(str(folder), images=6, photos=False, steps=3, heads=False)
    return Run(status, text.getvalue(), folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return call(tmp_path_factory.mktemp("demo"))


def tables(text):
    """(model, method, metric) -> mean and half the width of its interval, as printed."""
    found, model = {}, None
    printed = iter(text.splitlines())
    for line in printed:
        if title := re.search(r"SyntheticParts, (\w+): which", line):
            model = title[1]
        elif model and (row := re.match(r"  (\w+) +((-?\d\.\d+\*? *){4})$", line)):
            means, halves = row[2].replace("*", "").split(), next(printed).replace("\u00b1", "").split()
            for metric, mean, half in zip(METRICS, means, halves):
                found[model, row[1], metric] = (float(mean), float(half))
    return found


def written(run):
    """(model, method, metric) -> its line in the CSV files."""
    found = {}
    for model in ("ViT", "CNN"):
        file = run.folder / f"synthetic_parts_{model.lower()}_6/scores/leaderboard.csv"
        found |= {(model, row["method"], row["metric"]): row for row in csv.DictReader(file.read_text().splitlines())}
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


def test_numbers_of_the_tables(run):
    printed, files = tables(run.text), written(run)
    methods = [(model, method) for model in ("ViT", "CNN") for method in (*METHODS, "Oracle", "Edges", "Center")]
    assert set(printed) == set(files) == {(*place, metric) for place in methods for metric in METRICS}
    for place, (mean, half) in printed.items():
        low, high = float(files[place]["low"]), float(files[place]["high"])
        assert (mean, half) == pytest.approx((float(files[place]["mean"]), (high - low) / 2), abs=6e-4)
    draws = np.random.default_rng(1).integers(6, size=(20_000, 6))
    for model, method in STORES:
        energies, _ = measured(run.folder / STORES[model, method])
        assert printed[model, method, "energy"][0] == pytest.approx(energies.mean(), abs=6e-4)
        row = files[model, method, "energy"]
        interval = np.quantile(energies[draws].mean(1), [0.025, 0.975])
        assert [float(row["low"]), float(row["high"])] == pytest.approx(interval, abs=0.015)


def test_maps_lie_on_the_parts_and_random_ones_do_not(run):
    for (model, method, metric), row in written(run).items():
        if metric != "energy":
            continue
        _, chance = measured(run.folder / STORES[model, "Random"])
        if method == "Random":
            assert float(row["mean"]) == pytest.approx(chance, abs=0.03)
        else:
            assert float(row["low"]) > chance


def test_logs(run):
    events = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    for (model, method, metric), row in written(run).items():
        for name in ("mean", "low", "high"):
            (scalar,) = events.Scalars(f"{metric} ({name})/{model}/{method}")
            assert scalar.value == pytest.approx(float(row[name]), abs=1e-6)
    for (model, method), store in STORES.items():
        rate = float(re.search(rf"  {model}, {method}, ([\d.e+-]+) images/s", run.text)[1])
        (scalar,) = events.Scalars(f"images per second/{model}/{method}")
        assert scalar.value == pytest.approx(rate, rel=0.01)
        assert rate > 0
        (image,) = events.Images(f"{model}/{method}")
        with Image.open(run.folder / store / "contact_sheet.png") as sheet:
            assert (image.width, image.height) == sheet.size


def test_a_second_call_does_nothing_twice(run):
    def written():
        found = (path for path in run.folder.rglob("*.parquet") if path.name != "scores.parquet")  # made of the others
        return {path: path.stat().st_mtime_ns for path in found}

    blocks = written()
    assert len(blocks) >= 8
    again = call(run.folder)
    assert written() == blocks
    assert again.text == run.text
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
    assert demo(str(tmp_path), heads=False, explorer=False) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Photographs are left out" in said
    assert "scikit-image" in said
    assert "efficientnet" not in said
    assert "pip install 'lit-coiba[demo]'" in said


def test_it_ends_with_a_site(run):
    first = run.folder / "site" / "index.html"
    assert first.is_file()
    assert f"{first}  open it in a browser" in run.text
    assert len(list((run.folder / "concepts" / "classes").glob("*/class.json"))) == 4


def test_help_does_not_wait_for_torch():
    code = "import sys; from lit_coiba.demo import demo; sys.exit('torch' in sys.modules or 'rich' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
