import math

import pytest
import torch

from lit_coiba.functional import bootstrap_interval


def sample(count, seed=0):
    return torch.randn(count, generator=torch.Generator().manual_seed(seed)) * 3 + 1


def test_interval_is_that_of_a_normal_mean():
    values = sample(4000)
    interval = bootstrap_interval(values)
    half = 1.96 * values.std().item() / math.sqrt(len(values))
    assert interval.mean == pytest.approx(values.mean().item(), rel=1e-6)
    assert interval.high - interval.mean == pytest.approx(half, rel=0.1)
    assert interval.mean - interval.low == pytest.approx(half, rel=0.1)


def test_nine_of_ten_intervals_cover_the_truth():
    covered = [(i := bootstrap_interval(sample(40, seed), 0.9, draws=300)).low <= 1 <= i.high for seed in range(100)]
    assert 80 <= sum(covered) <= 98


def test_undefined_values_are_left_out():
    values = torch.tensor([1.0, 2.0, 3.0])
    with_holes = torch.tensor([1.0, torch.nan, 2.0, 3.0, torch.nan])
    assert bootstrap_interval(with_holes) == bootstrap_interval(values)


@pytest.mark.parametrize("values", [torch.zeros(0), torch.full((3,), torch.nan)])
def test_nothing_defined_has_no_interval(values):
    assert all(math.isnan(end) for end in bootstrap_interval(values))


def test_same_seed_same_interval_and_global_random_state_untouched():
    before = torch.get_rng_state()
    assert bootstrap_interval(sample(50), seed=4) == bootstrap_interval(sample(50), seed=4)
    assert bootstrap_interval(sample(50), seed=4) != bootstrap_interval(sample(50), seed=5)
    assert torch.equal(torch.get_rng_state(), before)
