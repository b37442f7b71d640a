import math
from typing import ClassVar

import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.functional import resize_map
from lit_coiba.metrics import PointingGame
from tests._testers.metrics import SIZE, LocalisationTester


def look_around(map, region, tolerance=0.0):
    values = resize_map(map, SIZE)[0].tolist()
    places = [(row, column) for row in range(SIZE[0]) for column in range(SIZE[1])]
    peak = max(places, key=lambda place: values[place[0]][place[1]])  # the first of equal maxima
    return float(any(region[0][place] and math.dist(peak, place) <= tolerance for place in places))


class TestPointingGame(LocalisationTester):
    metric = PointingGame
    oracle = staticmethod(look_around)


class TestWithTolerance(LocalisationTester):
    metric = PointingGame
    arguments: ClassVar = {"tolerance": 1.5}

    def inputs(self, count):
        maps, regions = super().inputs(count)
        return [maps, regions & (torch.arange(SIZE[1]) > 5)]

    def oracle(self, map, region):
        return look_around(map, region, 1.5)


def single(height, width, row, column):
    map = torch.zeros(1, height, width)
    map[0, row, column] = 1
    return map


def test_p1_a_peak_inside_hits_and_one_outside_misses():
    region = torch.zeros(1, 5, 5, dtype=torch.bool)
    region[0, 1:3, 1:4] = True
    metric = PointingGame()
    for row, column, hit in ((1, 1, 1), (2, 3, 1), (3, 3, 0), (0, 0, 0)):
        assert metric.score(single(5, 5, row, column), region).item() == hit


def test_p1_a_tolerance_of_15_accepts_a_peak_15_pixels_away():
    region = torch.zeros(1, 40, 40, dtype=torch.bool)
    region[0, 20, 20] = True
    metric = PointingGame(tolerance=15)
    for row, column, hit in ((20, 5, 1), (35, 20, 1), (29, 32, 1), (20, 4, 0), (31, 31, 0)):  # 9^2 + 12^2 = 15^2
        assert metric.score(single(40, 40, row, column), region).item() == hit


def test_of_equal_maxima_the_share_that_hits_counts():
    map = torch.tensor([[[0.0, 1.0], [1.0, 1.0]]])
    first, others = torch.tensor([[[False, True], [False, False]]]), torch.tensor([[[True, False], [True, True]]])
    assert PointingGame().score(map, first).item() == pytest.approx(1 / 3)
    assert PointingGame().score(map, others).item() == pytest.approx(2 / 3)


@pytest.mark.parametrize("tolerance", [-1, math.nan])
def test_a_tolerance_that_is_no_distance_is_refused(tolerance):
    with pytest.raises(InputError, match="tolerance is"):
        PointingGame(tolerance)
