import math

import pytest
import torch

from lit_coiba.functional import resize_map
from lit_coiba.metrics import EnergyPointing
from tests._testers.metrics import SIZE, LocalisationTester


def loop_over_pixels(map, region):
    inside = total = 0.0
    for value, kept in zip(resize_map(map, SIZE).flatten().tolist(), region.flatten().tolist()):
        total += max(value, 0)
        inside += max(value, 0) if kept else 0
    return inside / total


class TestEnergyPointing(LocalisationTester):
    metric = EnergyPointing
    oracle = staticmethod(loop_over_pixels)


def test_by_hand():
    maps = torch.tensor([[[3.0, 1.0], [-5.0, 4.0]]])
    regions = torch.tensor([[[True, False], [True, False]]])
    assert EnergyPointing().score(maps, regions).item() == 3 / 8


def test_p1_a_uniform_map_scores_the_area_share():
    regions = torch.zeros(1, 8, 10, dtype=torch.bool)
    regions[0, 1:4, 2:6] = True
    assert EnergyPointing().score(torch.full((1, 2, 2), 0.3), regions).item() == pytest.approx(12 / 80)


def test_a_map_without_positive_attribution_is_counted_as_undefined():
    metric = EnergyPointing()
    metric.update(torch.tensor([[[-1.0]], [[0.0]], [[2.0]]]), torch.ones(3, 2, 2, dtype=torch.bool))
    assert (metric.compute().item(), metric.count.item(), metric.undefined.item()) == (1, 1, 2)


def test_nothing_defined_has_no_mean():
    metric = EnergyPointing()
    metric.update(-torch.ones(2, 1, 1), torch.ones(2, 2, 2, dtype=torch.bool))
    assert math.isnan(metric.compute())
