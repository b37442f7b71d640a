"""MuFidelity: checks F1 for random subsets of any size, sharing, what is counted, what is undefined."""

from typing import ClassVar

import pytest
import torch
from scipy.stats import spearmanr

from lit_coiba.core.errors import InputError
from lit_coiba.functional import keyed_subsets, resize_map
from lit_coiba.metrics import MuFidelity
from lit_coiba.metrics.shared import Shared
from tests._testers.metrics import SIZE, FaithfulnessTester, uniform
from tests._testers.removal import Additive, cell_totals, logit, without

GRID = (4, 5)  # of which neither divides the image, or the maps


def slow_mu_fidelity(model, images, targets, maps):
    chosen = keyed_subsets(0, [""], "mu_fidelity", (30, 20), 0.2)[0]
    cells = cell_totals(resize_map(maps, SIZE)[0], GRID)
    clean, sums, drops = logit(model, images[0], int(targets)), [], []
    for subset in chosen:
        sums.append(sum(sum(values) for values, member in zip(cells, subset) if member))
        changed = without(images[0], lambda cell, subset=subset: bool(subset[cell]), GRID)
        drops.append(clean - logit(model, changed, int(targets)))
    return spearmanr(torch.tensor(sums).round(decimals=10), torch.tensor(drops).round(decimals=10)).statistic


class TestMuFidelity(FaithfulnessTester):
    metric = MuFidelity
    arguments: ClassVar = {"grid_size": GRID, "subsets": 30}
    oracle = staticmethod(slow_mu_fidelity)


@pytest.fixture
def linear():
    model = Additive(uniform(2, 3, *SIZE, seed=3) - 0.5)
    images = uniform(2, 3, *SIZE) + 0.5
    return model, images, (images * model.weight[1]).sum(1)


def test_f1_exact_contributions_score_one_and_their_negative_minus_one(linear):
    model, images, maps = linear
    for factor, expected in ((1, 1), (3, 1), (-1, -1)):
        found = MuFidelity(grid_size=3).score(model, images, 1, factor * maps)
        assert found.tolist() == pytest.approx([expected] * 2, abs=1e-12)


def test_f1_a_constant_in_the_map_changes_subsets_of_random_size(linear):
    model, images, maps = linear
    assert (MuFidelity(grid_size=3).score(model, images, 1, maps + 1) < 0.9).all()


def test_draws_are_those_of_the_sample(linear):
    model, images, maps = linear
    noisy = maps + uniform(2, *SIZE, seed=8)
    metric = MuFidelity(grid_size=3, subsets=20)
    both = metric.score(model, images, 1, noisy, ["a", "b"])
    assert torch.equal(metric.score(model, images[1:], 1, noisy[1:], ["b"]), both[1:])
    assert not torch.equal(metric.score(model, images[1:], 1, noisy[1:], ["c"]), both[1:])
    assert not torch.equal(MuFidelity(grid_size=3, subsets=20, seed=1).score(model, images, 1, noisy, ["a", "b"]), both)


def test_all_methods_share_the_drops(linear):
    model, images, maps = linear
    metric, shared = MuFidelity(subsets=40, grid_size=3), Shared()
    first = [metric.score(model, images, 1, m, ["a", "b"], shared) for m in (maps, -maps, maps**2)]
    assert sum(model.seen) == 2 * metric.forwards(SIZE) == 2 * 41
    MuFidelity(subsets=40, grid_size=3, seed=1).score(model, images, 1, maps, ["a", "b"], shared)
    assert sum(model.seen) == 2 * 81  # other draws, the same clean score
    assert torch.equal(first[2], metric.score(model, images, 1, maps**2, ["a", "b"]))


def test_what_does_not_vary_is_undefined(linear):
    model, images, maps = linear
    assert MuFidelity(grid_size=3).score(model, images, 1, torch.zeros_like(maps)).isnan().all()
    still = Additive(torch.zeros(2, 3, *SIZE), bias=0.7)
    assert MuFidelity(grid_size=3).score(still, images, 1, maps).isnan().all()
    constant = MuFidelity(grid_size=3).score(model, images, 1, torch.full_like(maps, 0.1))
    assert constant.isfinite().all()  # it says that the larger subset costs more


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"grid_size": 0}, "grid_size is 0: give 1 or more"),
        ({"subsets": 2}, "subsets is 2: give 3 or more"),
        ({"probability": 1.0}, "probability is 1.0: give a number between 0 and 1"),
        ({"baseline": "zeros"}, "baseline is 'zeros'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        MuFidelity(**arguments)


def test_too_many_cells_are_refused(linear):
    model, images, maps = linear
    with pytest.raises(InputError, match="grid_size is 9 x 9, but images have 6 x 9 pixels"):
        MuFidelity().score(model, images, 1, maps)
    with pytest.raises(InputError, match="grid_size is 9 x 9, but images have 6 x 9 pixels"):
        MuFidelity().check(SIZE)


def test_a_map_on_the_cells_own_grid_is_taken_as_it_is(linear):
    model, images, _ = linear
    cells = uniform(2, 2, 3, seed=4)
    pixels = cells.repeat_interleave(3, 1).repeat_interleave(3, 2)
    metric = MuFidelity(grid_size=(2, 3))
    torch.testing.assert_close(metric.score(model, images, 1, cells), metric.score(model, images, 1, pixels))
