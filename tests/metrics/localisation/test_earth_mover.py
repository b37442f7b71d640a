from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import wasserstein_distance

from lit_coiba.core.errors import InputError
from lit_coiba.functional import resize_map
from lit_coiba.metrics import EarthMover
from lit_coiba.metrics.localisation.earth_mover import moving
from tests._testers.metrics import SIZE, LocalisationTester, uniform

UNITS = 24  # equal grains of mass of the slow oracle


def by_whole_plan(map, region):
    """The plan over all pairs of pixels, what stays included, as a dense linear program."""
    from scipy.optimize import linprog

    mass = resize_map(map, SIZE)[0].abs().flatten().numpy()
    wanted = region[0].flatten().numpy().astype(float)
    mass, wanted, count = mass / mass.sum(), wanted / wanted.sum(), mass.size
    places = np.array([(row + 0.5, column + 0.5) for row in range(SIZE[0]) for column in range(SIZE[1])])
    ways = np.linalg.norm(places[:, None] - places, axis=-1)
    rows = np.kron(np.eye(count), np.ones(count))
    columns = np.kron(np.ones(count), np.eye(count))
    plan = linprog(ways.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([mass, wanted]))
    return 1 - plan.fun / ways.max()


class TestEarthMover(LocalisationTester):
    metric = EarthMover
    arguments: ClassVar = {"cells": 9}

    oracle = staticmethod(by_whole_plan)

    def test_scores_are_those_of_the_slow_oracle(self):
        maps, regions = self.inputs(3)
        expected = [by_whole_plan(maps[i : i + 1], regions[i : i + 1]) for i in range(3)]
        assert self.build().score(maps, regions).tolist() == pytest.approx(expected, rel=1e-7)
        assert len(set(expected)) == 3


class TestX3:
    """Spec of the metrics in distribution, check X3."""

    @pytest.mark.parametrize("size", [(16, 16), (40, 28), (5, 9)])
    def test_the_mask_scores_one(self, size):
        regions = uniform(2, *size) < 0.3
        torch.testing.assert_close(EarthMover().score(regions.double(), regions), torch.ones(2).double())

    @pytest.mark.parametrize("size", [(16, 16), (9, 5), (64, 32)])
    def test_a_point_in_the_far_corner_of_a_point_scores_zero(self, size):
        maps, regions = torch.zeros(1, *size), torch.zeros(1, *size, dtype=torch.bool)
        maps[0, 0, 0], regions[0, -1, -1] = 1.0, True
        assert EarthMover().score(maps, regions).item() == pytest.approx(0, abs=1e-6)


def test_on_a_line_it_is_the_distance_between_distributions():
    maps, regions = uniform(4, 1, 12), uniform(4, 1, 12, seed=1) < 0.5
    found = EarthMover().score(maps, regions)
    places = np.arange(12)
    for map, region, score in zip(maps[:, 0].numpy(), regions[:, 0].numpy(), found):
        distance = wasserstein_distance(places, places, map, region.astype(float))
        assert score.item() == pytest.approx(1 - distance / 11, rel=1e-9)


def test_equal_grains_are_assigned():
    rng = np.random.default_rng(0)
    places = rng.random((20, 2))
    ways = np.linalg.norm(places[:, None] - places, axis=-1)
    starts, ends = rng.integers(0, 20, (2, UNITS))
    rows, columns = linear_sum_assignment(ways[np.ix_(starts, ends)])
    expected = ways[starts[rows], ends[columns]].sum() / UNITS
    masses = [np.bincount(chosen, minlength=20) / UNITS for chosen in (starts, ends)]
    assert moving(*masses, ways) == pytest.approx(expected, rel=1e-9)


def test_a_map_that_is_zero_and_a_picture_of_one_pixel_have_no_score():
    regions = torch.ones(1, 4, 4, dtype=torch.bool)
    assert EarthMover().score(torch.zeros(1, 4, 4), regions).isnan()
    assert EarthMover().score(torch.ones(1, 1, 1), regions[:, :1, :1]).isnan()
    assert EarthMover(cells=1).score(torch.ones(1, 4, 4), regions).isnan()


def test_no_cells_are_refused():
    with pytest.raises(InputError, match="cells is 0"):
        EarthMover(cells=0)
