"""Random subsets by sample, and what a map says of them."""

import math

import pytest
import torch

from lit_coiba.functional import infidelity, keyed_orders, keyed_subsets, prefix_sums, subset_sums


def test_subsets_are_those_of_the_sample():
    both = keyed_subsets(0, ["a", "b"], "subsets", (30, 20), 0.3)
    assert torch.equal(keyed_subsets(0, ["b"], "subsets", (30, 20), 0.3)[0], both[1])
    assert not torch.equal(both[0], both[1])
    assert abs(keyed_subsets(0, ["c"], "subsets", (2000, 20), 0.3).double().mean() - 0.3) < 4 * math.sqrt(0.21 / 40000)


def test_sums_over_subsets_and_over_the_first_of_an_order_are_loops():
    values = torch.randn(2, 9, generator=torch.Generator().manual_seed(0))
    subsets = keyed_subsets(0, ["a", "b"], "subsets", (5, 9), 0.4)
    for row in range(2):
        expected = [sum(v.item() for v, member in zip(values[row], subset) if member) for subset in subsets[row]]
        assert subset_sums(values, subsets)[row].tolist() == pytest.approx(expected)
    places = keyed_orders(0, "a", "orders", 4, 9)
    for size, found in zip((1, 3, 9), prefix_sums(values[0], places, [1, 3, 9])):
        expected = [sum(v.item() for v, place in zip(values[0], order) if place < size) for order in places]
        assert found.tolist() == pytest.approx(expected)


def test_the_best_factor_leaves_the_least_infidelity():
    generator = torch.Generator().manual_seed(0)
    told, drops = (torch.randn(3, 10, generator=generator, dtype=torch.float64) for _ in range(2))
    best = infidelity(told, drops, scaled=True)
    for factor in (-1.0, 0.0, 0.01, 0.3, 1.0):
        assert (best <= infidelity(factor * told, drops) + 1e-12).all()
