"""Correlations against SciPy, with ties, and where they are not defined."""

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, rankdata, spearmanr

from lit_coiba.functional import average_ranks, pearson, spearman

UNDEFINED = [[False, False, False], [False, False, True]]
GENERATOR = torch.Generator().manual_seed(0)


def rows(ties):
    values = torch.randn(2, 3, 20, generator=GENERATOR, dtype=torch.float64)
    return values.mul(2).round() if ties else values


@pytest.mark.parametrize("ties", [False, True])
def test_rows_are_those_of_scipy(ties):
    one, other = rows(ties), rows(ties)
    for i, j in np.ndindex(2, 3):
        a, b = one[i, j].numpy(), other[i, j].numpy()
        assert pearson(one, other)[i, j].item() == pytest.approx(pearsonr(a, b).statistic, abs=1e-13)
        assert spearman(one, other)[i, j].item() == pytest.approx(spearmanr(a, b).statistic, abs=1e-13)
        np.testing.assert_array_equal(average_ranks(one)[i, j], rankdata(a))


@pytest.mark.parametrize("measure", [pearson, spearman])
def test_ends_of_the_scale(measure):
    one = rows(ties=False)
    assert measure(one, 3 * one - 7).tolist() == pytest.approx(np.ones((2, 3)))
    assert measure(one, -one).tolist() == pytest.approx(-np.ones((2, 3)))


@pytest.mark.parametrize("measure", [pearson, spearman])
@pytest.mark.parametrize("spoilt", [torch.full((20,), 0.1), torch.tensor([torch.nan, *range(19)]),
                                    torch.tensor([torch.inf, *range(19)])])  # fmt: skip
def test_what_is_constant_or_not_finite_has_none(measure, spoilt):
    one, other = rows(ties=False), rows(ties=False)
    one[1, 2] = spoilt
    assert measure(one, other).isnan().tolist() == measure(other, one).isnan().tolist() == UNDEFINED


def test_rounding_is_no_spread():
    sums = torch.tensor([0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1], dtype=torch.float64)
    assert sums[0] != sums[1]
    assert pearson(sums, torch.tensor([1.0, 2.0])).isnan()


def test_half_precision_is_read_exactly():
    one, other = rows(ties=True).half(), rows(ties=True).half()
    assert torch.equal(pearson(one, other), pearson(one.double(), other.double()))
    assert spearman(one, other).dtype == torch.float64
