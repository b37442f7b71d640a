import math

import pytest
import torch

from lit_coiba.metrics import Entropy
from tests._testers.metrics import MetricTester, uniform


def term_by_term(map):
    sizes = map.abs().flatten().tolist()
    total = sum(sizes)
    return -sum(size / total * math.log(size / total) for size in sizes if size)


class TestEntropy(MetricTester):
    metric = Entropy
    oracle = staticmethod(term_by_term)

    def inputs(self, count):
        return [uniform(count, 3, 5) - 0.4]


def test_c1_by_hand():
    maps = torch.tensor(
        [[[3.0, -3.0, 3.0, 3.0]], [[0.0, 0.0, -7.0, 0.0]], [[2.0, 1.0, -1.0, 0.0]]], dtype=torch.float64
    )
    assert Entropy().score(maps).tolist() == pytest.approx([math.log(4), 0, 1.5 * math.log(2)], abs=1e-12)


def test_a_map_of_nothing_or_of_no_number_has_no_score_and_is_counted():
    maps = torch.ones(4, 2, 3)
    maps[0], maps[1, 0, 0], maps[2, 1, 2] = 0, math.nan, math.inf
    metric = Entropy()
    metric.update(maps)
    assert (metric.count.item(), metric.undefined.item()) == (1, 3)
    assert metric.compute().item() == pytest.approx(math.log(6), rel=1e-6)
