"""Certified accuracy: the count of the definition, over batches and over two processes."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch import distributed

from lit_coiba.core.errors import InputError
from lit_coiba.metrics import CertifiedAccuracy

ROOT = Path(__file__).parents[3]
RADII = torch.tensor([0.0, 0.125, 0.25, 0.5, 2.0, 0.25, 1.0])
RIGHT = torch.tensor([True, True, False, True, True, True, False])
ASKED = [0.0, 0.25, 1.0]
SCRIPT = (
    "import sys; from tests.metrics.robustness.test_certified_accuracy import take_part;"
    " take_part(int(sys.argv[1]), sys.argv[2])"
)


def take_part(rank, folder):
    """Join, score this process's samples, five of seven or two, and write down what the metric says."""
    where = {"init_method": f"file://{folder}/meet", "rank": rank, "world_size": 2}
    distributed.init_process_group("gloo", timeout=timedelta(seconds=120), **where)
    try:
        rows = [slice(0, 5), slice(5, 7)][rank]
        metric = CertifiedAccuracy(ASKED)
        metric.update(RADII[rows], RIGHT[rows])
        found = metric.compute().tolist()
    finally:
        distributed.destroy_process_group()
    Path(folder, f"{rank}.json").write_text(json.dumps(found))


def by_hand():
    pairs = list(zip(RADII.tolist(), RIGHT.tolist()))
    return [sum(right and radius > asked for radius, right in pairs) / len(pairs) for asked in ASKED]


def test_it_counts_right_decisions_with_a_larger_radius():
    whole, parts = CertifiedAccuracy(ASKED), CertifiedAccuracy(ASKED)
    whole.update(RADII, RIGHT)
    for rows in (slice(0, 1), slice(1, 7)):
        parts.update(RADII[rows], RIGHT[rows])
    assert whole.compute().tolist() == pytest.approx(by_hand())
    assert parts.compute().tolist() == pytest.approx(by_hand())
    assert whole.accuracy().item() == pytest.approx(5 / 7)


def test_nothing_is_undefined_and_a_reset_forgets():
    metric = CertifiedAccuracy()
    with pytest.warns(UserWarning, match="before the ``update`` method"):
        assert metric.compute().isnan().all()
    metric.update(RADII, RIGHT)
    metric.reset()
    assert metric.count == 0
    assert metric.radii == [36 / 255, 72 / 255, 108 / 255, 1.0]


@pytest.mark.parametrize("radii", [[], [-0.1], [float("nan")], [float("inf")]])
def test_radii_are_numbers_from_0_on(radii):
    with pytest.raises(InputError, match="give numbers, 0 or more"):
        CertifiedAccuracy(radii)


def test_two_processes_count_what_one_counts(tmp_path):
    words = [sys.executable, "-c", SCRIPT]
    started = [subprocess.Popen([*words, str(rank), str(tmp_path)], cwd=ROOT) for rank in range(2)]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    for rank in range(2):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == pytest.approx(by_hand())
