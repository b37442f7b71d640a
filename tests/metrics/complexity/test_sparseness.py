import math

import pytest
import torch

from lit_coiba.metrics import Sparseness
from tests._testers.metrics import MetricTester, uniform


def pairwise(map):
    """Half the relative mean difference of all pairs."""
    sizes = map.abs().flatten().tolist()
    return sum(abs(a - b) for a in sizes for b in sizes) / (2 * len(sizes) * sum(sizes))


class TestSparseness(MetricTester):
    metric = Sparseness
    oracle = staticmethod(pairwise)

    def inputs(self, count):
        return [uniform(count, 3, 5) - 0.4]


def test_c1_by_hand():
    maps = torch.tensor(
        [[[3.0, -3.0, 3.0, 3.0]], [[0.0, 0.0, -7.0, 0.0]], [[2.0, 1.0, -4.0, 3.0]]], dtype=torch.float64
    )
    assert Sparseness().score(maps).tolist() == pytest.approx([0, 3 / 4, 0.25], abs=1e-12)


def test_a_map_of_nothing_or_of_no_number_has_no_score_and_is_counted():
    maps = torch.ones(4, 2, 3)
    maps[0], maps[1, 0, 0], maps[2, 1, 2] = 0, math.nan, math.inf
    metric = Sparseness()
    metric.update(maps)
    assert (metric.count.item(), metric.undefined.item(), metric.compute().item()) == (1, 3, 0)
