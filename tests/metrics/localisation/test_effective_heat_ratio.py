from typing import ClassVar

import numpy as np
import pytest
import torch

from lit_coiba.functional import resize_map
from lit_coiba.metrics import EffectiveHeatRatio
from tests._testers.metrics import SIZE, LocalisationTester


def thresholds(map, region, weighted=True):
    """The authors' formula for one sample; deciles by numpy, taken a hair lower, where rounding lifts them."""
    heat = resize_map(map, SIZE)[0].numpy()
    heat = (heat - heat.min()) / (heat.max() - heat.min())
    heat[heat < 0.1] = 0
    inside, ratios = region[0].numpy(), []
    for q in range(11):
        above = heat >= min(np.quantile(heat[heat >= 0.1], q / 10) - 1e-12, 0.99)
        ratios.append(
            (heat * (above & inside)).sum() / above.sum() if weighted else (above & inside).sum() / above.sum()
        )
    return float(np.trapezoid(ratios, dx=0.1))


class TestWeighted(LocalisationTester):
    metric = EffectiveHeatRatio
    oracle = staticmethod(thresholds)


class TestUnweighted(LocalisationTester):
    metric = EffectiveHeatRatio
    arguments: ClassVar = {"weighted": False}

    def oracle(self, map, region):
        return thresholds(map, region, weighted=False)


@pytest.fixture
def region():
    """12 of 100 pixels."""
    inside = torch.zeros(1, 10, 10, dtype=torch.bool)
    inside[0, 2:5, 3:7] = True
    return inside


@pytest.mark.parametrize("weighted", [True, False])
def test_e1_the_region_itself_scores_one_and_a_constant_map_the_share_of_the_area(region, weighted):
    metric = EffectiveHeatRatio(weighted)
    assert metric.score(region.double(), region).item() == 1
    for constant in (0.5, 0.0, -3.0):
        found = metric.score(torch.full((1, 10, 10), constant, dtype=torch.float64), region).item()
        assert found == pytest.approx(0.12, abs=1e-12)


def test_e1_a_graded_map_scores_below_one_by_heat_and_one_without(region):
    map = torch.zeros(1, 10, 10, dtype=torch.float64)
    map[region] = torch.arange(1, 13, dtype=torch.float64) / 12
    before = map.clone()
    # Heat 1/12 is below the cut of 0.1, so the deciles are 2/12 ... 12/12 themselves, and above the k-th of them the
    # mean heat is (k + 14)/24: 19/24. The spec's .8042 = 19.3/24 is what numpy makes of np.linspace(0, 1, 11), which
    # lifts three of the deciles (.3, .6, .7) by a rounding above the pixel that they are, and so leaves that pixel out.
    assert EffectiveHeatRatio().score(map, region).item() == pytest.approx(19 / 24, abs=1e-12)
    rounded = [np.quantile(np.arange(2, 13) / 12, q) for q in np.linspace(0, 1, 11)]
    above = [[k / 12 for k in range(2, 13) if k / 12 >= min(threshold, 0.99)] for threshold in rounded]
    assert np.trapezoid([np.mean(heat) for heat in above], dx=0.1) == pytest.approx(0.8042, abs=1e-4)
    assert EffectiveHeatRatio(weighted=False).score(map, region).item() == 1
    assert torch.equal(map, before)


def test_the_scale_of_a_map_makes_no_difference(region):
    map = torch.rand(1, 10, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    once = EffectiveHeatRatio().score(map, region)
    torch.testing.assert_close(EffectiveHeatRatio().score(5 * map - 3, region), once)
