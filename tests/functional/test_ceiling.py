import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from lit_coiba.functional import keyed_orders
from lit_coiba.functional.ceiling import spearman_brown, split_half


@pytest.mark.parametrize("people", [2, 5, 8])
def test_halves_are_compared_as_by_hand(people):
    maps = torch.rand(people, 6, 7, generator=torch.Generator().manual_seed(people), dtype=torch.float64)
    orders = keyed_orders(0, "x", "halves", 12, people)
    for order, found in zip(orders.tolist(), split_half(maps, orders).tolist()):
        one = np.mean([maps[k].numpy() for k in order[: people // 2]], axis=0)
        other = np.mean([maps[k].numpy() for k in order[people // 2 : 2 * (people // 2)]], axis=0)
        assert found == pytest.approx(spearmanr(one.ravel(), other.ravel()).statistic, abs=1e-12)


@pytest.mark.parametrize("noise", [0.7, 1.47, 3.0])
def test_7_the_ceiling_is_the_correlation_of_the_mean_map_with_the_truth(noise):
    """People see a truth through noise; of the spec's simulation: halves 0.709, ceiling 0.91, oracle 0.907."""
    generator = torch.Generator().manual_seed(0)
    halves, oracle = [], []
    for image in range(40):
        truth = torch.randn(2000, generator=generator, dtype=torch.float64)
        maps = truth + noise * torch.randn(10, 2000, generator=generator, dtype=torch.float64)
        halves.append(split_half(maps, keyed_orders(0, str(image), "halves", 10, 10)).mean().item())
        oracle.append(spearmanr(maps.mean(0).numpy(), truth.numpy()).statistic)
    half = float(np.mean(halves))
    assert spearman_brown(half) == pytest.approx(np.mean(oracle), abs=0.02)
    assert half < spearman_brown(half)  # so that a good model's score over the halves may exceed 1
    if noise == 1.47:
        assert half == pytest.approx(0.68, abs=0.04)


def test_people_who_agree_or_do_not():
    same = torch.arange(12.0).expand(4, -1)
    assert split_half(same, keyed_orders(0, "x", "halves", 10, 4)).tolist() == pytest.approx([1] * 10)
    assert spearman_brown(1.0) == 1
    assert spearman_brown(0.709) == pytest.approx(0.911, abs=5e-4)
    for half in (0.0, -0.3, math.nan):
        assert math.isnan(spearman_brown(half))
