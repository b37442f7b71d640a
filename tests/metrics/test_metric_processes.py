"""Two real processes (gloo) with uneven shards give what one process gives, also where one has no sample."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch import distributed

from lit_coiba.metrics import (
    SRG,
    Degradation,
    Deletion,
    EnergyPointing,
    Insertion,
    MuFidelity,
    PointingGame,
    RelevanceRank,
    SensitivityN,
)
from tests._testers.metrics import SIZE, network, uniform

ROOT = Path(__file__).parents[2]
SAMPLES = 7
LOCALISATION = (PointingGame, EnergyPointing, RelevanceRank)

SCRIPT = (
    "import sys; from tests.metrics.test_metric_processes import take_part; take_part(int(sys.argv[1]), sys.argv[2])"
)


def take_part(rank, folder):
    """Join, score this process's shards (5 and 2 samples, then 7 and none) and write down what the metrics say."""
    where = {"init_method": f"file://{folder}/meet", "rank": rank, "world_size": 2}
    distributed.init_process_group("gloo", timeout=timedelta(seconds=120), **where)
    try:
        found = [results([slice(0, 5), slice(5, SAMPLES)][rank]), results([slice(0, SAMPLES), None][rank])]
    finally:
        distributed.destroy_process_group()
    Path(folder, f"{rank}.json").write_text(json.dumps(found))


def results(rows):
    """What every metric says after some of the samples, or none."""
    found = {}
    model, images, maps = network(), uniform(SAMPLES, 3, *SIZE), uniform(SAMPLES, 3, 3, seed=1) - 0.2
    regions = uniform(SAMPLES, *SIZE, seed=2) < 0.4
    maps[6], regions[1] = torch.nan, False
    for kind in LOCALISATION:
        metric = kind(keep_samples=True)
        if rows is not None:
            metric.update(maps[rows], regions[rows])
        found[kind.__name__] = told(metric)
    for kind in (Insertion, Deletion):
        metric = kind(steps=5, keep_samples=True)
        if rows is not None:
            metric.update(model, images[rows], None, maps[rows])
        found[kind.__name__] = [*told(metric), *metric.mean_curve().tolist()]
    removals = {
        SRG(grid_size=3, keep_samples=True): (),
        Degradation(tile=3, keep_samples=True): ("areas", "mean_curves"),
        MuFidelity(grid_size=3, subsets=9, keep_samples=True): (),
        SensitivityN(levels=3, subsets=9, keep_samples=True): ("mean_curve",),
    }
    for metric, more in removals.items():
        if rows is not None:
            metric.update(model, images[rows], None, maps[rows], "abcdefg"[rows])
        others = [value for name in more for value in getattr(metric, name)().flatten().tolist()]
        found[type(metric).__name__] = [*told(metric), *others]
    return found


def told(metric):
    """Mean, counts and the sum of the kept scores, all over all processes; its own states are as before."""
    before = metric.count.item()
    mean = metric.compute().item()
    with metric.sync_context():
        counts = [metric.count.item(), metric.undefined.item()]
        kept = metric.samples()
        shape, total = len(kept), kept.nansum().item()
    assert metric.count.item() == before
    return [mean, *counts, shape, total]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    other = subprocess.Popen([sys.executable, "-W", "ignore", "-c", SCRIPT, "1", str(folder)], cwd=ROOT)
    try:
        take_part(0, str(folder))  # this process is the first of the two
        assert other.wait(60) == 0
    finally:
        other.kill()
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def test_both_processes_say_what_one_says(found):
    expected = results(slice(0, SAMPLES))
    for process in found:
        for shards in process:
            assert shards.keys() == expected.keys()
            for name, values in expected.items():
                assert shards[name] == pytest.approx(values, rel=1e-6), name  # kept scores are single precision
                assert shards[name][0] == pytest.approx(values[0], rel=1e-13), name


def test_there_is_something_to_add_up():
    for name, (mean, count, undefined, *_) in results(slice(0, SAMPLES)).items():
        assert 0 < abs(mean) < 10
        assert count + undefined == SAMPLES
        assert undefined == (2 if name in {kind.__name__ for kind in LOCALISATION} else 1)
