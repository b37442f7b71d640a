from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lit_coiba.functional import Moments


def merged(samples, ends):
    ends = sorted({0, len(samples), *ends})
    parts = [Moments.of(samples[a:b]) for a, b in pairwise(ends)]
    moments = parts[0]
    for part in parts[1:]:
        moments = moments.merge(part)
    return moments


@given(
    count=st.integers(2, 40),
    ends=st.lists(st.integers(1, 39), max_size=6),
    offset=st.sampled_from([0.0, -3.0, 1e4]),
    seed=st.integers(0, 2**20),
)
def test_coiba_11_and_iba_7_any_split_gives_the_two_pass_values(count, ends, offset, seed):
    generator = torch.Generator().manual_seed(seed)
    samples = offset + torch.randn(count, 3, 2, generator=generator, dtype=torch.float64)
    moments = merged(samples, [end for end in ends if end < count])
    assert moments.size == count
    torch.testing.assert_close(moments.mean, samples.mean(0), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(moments.std(), samples.std(0, correction=1), rtol=1e-10, atol=1e-10)


@given(st.lists(st.integers(1, 5), min_size=3, max_size=3), st.integers(0, 1000))
def test_merging_is_associative(sizes, seed):
    generator = torch.Generator().manual_seed(seed)
    a, b, c = (Moments.of(torch.randn(size, 4, generator=generator)) for size in sizes)
    for left, right in zip(a.merge(b).merge(c), a.merge(b.merge(c))):
        torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


def test_nonzero_entries_are_counted():
    samples = torch.tensor([[0.0, 1.0], [0.0, 0.0], [0.0, -2.0]])
    assert merged(samples, [1]).nonzero.tolist() == [0, 2]


def test_iba_7_a_unit_without_variance_stays_finite():
    moments = merged(torch.full((5, 2), 0.1), [2, 3])
    assert (moments.std() < 1e-12).all()
    assert moments.mean.tolist() == pytest.approx([0.1, 0.1])


def test_a_single_sample_has_no_spread():
    assert Moments.of(torch.ones(1, 3)).std().tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_sums_are_in_double_precision(dtype):
    samples = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0)).to(dtype) + 100
    moments = merged(samples, range(1, 2000, 7))
    torch.testing.assert_close(moments.std(), samples.double().std(0), rtol=1e-10, atol=0)
    assert moments.mean.dtype == moments.squares.dtype == moments.nonzero.dtype == torch.float64
