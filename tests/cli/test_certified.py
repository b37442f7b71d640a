"""What the command line says of certified decisions."""

import csv
import re

import numpy as np
import pytest
from safetensors.torch import save_file

from lit_coiba.store import ExplanationStore
from tests._testers import lipschitz as small
from tests.cli.conftest import CALM

SUMMARY = re.compile(
    r"Certified accuracy at 36/255: ([\d.]+)% of (\d+) labelled images; median certified radius ([\d.]+) \(L2, pixels"
    r" from 0 to 1\)"
)


@pytest.fixture
def words(tmp_path, photos):
    """A 1-Lipschitz network of two classes, the photographs, and nothing else."""
    save_file(small.constrained(classes=2).model.state_dict(), tmp_path / "weights.safetensors")
    kwargs = "{widths: [8, 16, 16], strides: [2, 1, 2], kernel_sizes: [3, 3, 3]}"
    own = {"name": "lipschitz_cnn", "num_classes": "2", "image_size": "16", "timm_kwargs": kwargs}
    own["checkpoint"] = str(tmp_path / "weights.safetensors")
    return [*(w for k, v in own.items() for w in (f"--model.backbone.{k}", v)), *CALM, "--data.root", str(photos)]


def test_explain_says_how_much_is_certified(command, words):
    outcome = command("explain", "--model.method", "Saliency", *words, "--store", "store")
    assert outcome.status == 0, outcome.err
    rows = list(ExplanationStore("store"))
    radii = np.array([float(row.extras["radius"]) for row in rows])
    right = np.array([row.target == row.label for row in rows])
    accuracy, labelled, median = map(float, SUMMARY.search(outcome.out).groups())
    assert labelled == len(rows) == 6
    assert accuracy == pytest.approx(100 * (right & (radii > 36 / 255)).mean(), abs=0.051)
    assert np.median(radii) * 0.99 < median <= np.median(radii)

    outcome = command("explain", "--model.method", "Saliency", *words, "--store", "other", "--model.certify", "false")
    assert outcome.status == 0, outcome.err
    assert "ertified" not in outcome.out


def test_predict_says_how_much_is_certified(command, words):
    outcome = command("predict", *words, "--output", "table.csv")
    assert outcome.status == 0, outcome.err
    with open("table.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    radii = np.array([float(row["radius"]) for row in rows])
    right = np.array([row["class_1"] == row["label"] for row in rows])
    accuracy, labelled, _ = map(float, SUMMARY.search(outcome.out).groups())
    assert labelled == 6
    assert accuracy == pytest.approx(100 * (right & (radii > 36 / 255)).mean(), abs=0.051)


def test_a_model_that_cannot_be_certified_is_refused(explain, photos):
    outcome = explain("--data.root", str(photos), "--store", "store", "--model.certify", "true")
    assert outcome.status == 2
    assert re.search(r"certify is True, but the Lipschitz constant of .* is not known", outcome.error)
