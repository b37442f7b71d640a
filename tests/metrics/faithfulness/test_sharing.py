"""What several metrics and several maps of the same images have in common runs once."""

from lit_coiba.metrics import ROMS, SRG, Degradation, FaithfulnessCorrelation, Infidelity, MuFidelity, SensitivityN
from lit_coiba.metrics.shared import Shared
from tests._testers.metrics import SIZE, uniform
from tests._testers.removal import Additive

ORDERED = [SRG(grid_size=3), Degradation(tile=3)]  # by the map
DRAWN = [
    MuFidelity(grid_size=3, subsets=50),
    FaithfulnessCorrelation(subsets=50),
    SensitivityN(levels=3, subsets=20),
    Infidelity(),
    Infidelity(perturbation="removal", grid_size=3),
    ROMS(grid_size=3),
]
MAPS = 5


def test_five_maps_and_eight_metrics_run_the_draws_once():
    model, images = Additive(uniform(2, 3, *SIZE)), uniform(2, 3, *SIZE)
    shared, ids = Shared(), ("a", "b")
    for number in range(MAPS):
        maps = uniform(2, *SIZE, seed=number)
        for metric in (*ORDERED, *DRAWN):
            given = (model, images, 1) if isinstance(metric, ROMS) else (model, images, 1, maps)
            together = metric.score(*given, ids=ids, shared=shared)
            assert together.shape == (2,)
    run = sum(model.seen)
    clean, empty = 1, 2  # the image; the empty image, by probability: SRG, degradation and R-OMS share it
    ends = sum(metric.forwards(SIZE) - empty for metric in ORDERED)
    drawn = sum(metric.forwards(SIZE) - clean for metric in DRAWN) - 1
    assert run == 2 * (clean + 1 + MAPS * ends + drawn)
    alone = 2 * MAPS * sum(metric.forwards(SIZE) for metric in (*ORDERED, *DRAWN))
    assert run < 0.35 * alone


def test_baselines_and_outputs_share_nothing_but_the_clean_output():
    model, images, maps = Additive(uniform(2, 3, *SIZE)), uniform(2, 3, *SIZE), uniform(2, *SIZE, seed=1)
    shared, settings = Shared(), {"grid_size": 3, "subsets": 10}
    found = [
        MuFidelity(**settings, **other).score(model, images, 1, maps, ("a", "b"), shared)
        for other in ({}, {"baseline": 0.3}, {"baseline": 0.3, "output": "prob"})
    ]
    assert sum(model.seen) == 2 * (1 + 3 * 10)
    assert not (found[0] == found[1]).any()
