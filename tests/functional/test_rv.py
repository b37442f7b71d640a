"""RV against its definition with the large products, and against NumPy's correlations."""

import numpy as np
import pytest
import torch

from lit_coiba.functional import channel_rv, rv_coefficient


def matrix(rows, columns, seed=0):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_definition(x, y):
    """tr(XX' YY') / sqrt(tr((XX')^2) tr((YY')^2)), with n x n matrices."""
    s, t = ((m - m.mean(0)) @ (m - m.mean(0)).T for m in (x, y))
    return (s @ t).trace() / ((s @ s).trace() * (t @ t).trace()).sqrt()


@pytest.mark.parametrize(("p", "q"), [(1, 1), (3, 5), (30, 2)])
def test_small_products_give_what_the_definition_gives(p, q):
    x, y = matrix(20, p), matrix(20, q, seed=1)
    assert rv_coefficient(x, y).item() == pytest.approx(by_definition(x, y).item(), rel=1e-12)


def test_of_a_matrix_with_itself_it_is_one_whatever_the_scale_place_and_rotation():
    x = matrix(20, 4)
    turned = torch.linalg.qr(matrix(4, 4, seed=2)).Q
    for other in (x, -3 * x, x + 7, x @ turned):
        assert rv_coefficient(x, other).item() == pytest.approx(1, abs=1e-12)


def test_scale_changes_nothing():
    x, y = matrix(20, 4), matrix(20, 3, seed=1)
    assert rv_coefficient(5 * x, 0.01 * y).item() == pytest.approx(rv_coefficient(x, y).item(), rel=1e-12)


def test_orthogonal_centred_columns_have_none():
    x, y = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]), torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
    assert rv_coefficient(x, y).item() == 0
    assert channel_rv(torch.cat([x, y], 1)).mean.item() == 0


def test_single_columns_have_their_squared_correlation():
    x, y = matrix(50, 1), matrix(50, 1, seed=1) + matrix(50, 1)
    expected = np.corrcoef(x[:, 0], y[:, 0])[0, 1] ** 2
    assert rv_coefficient(x, y).item() == pytest.approx(expected, abs=1e-10)


def test_the_mean_over_channels_is_that_of_all_pairs():
    values = matrix(40, 6) @ matrix(6, 6, seed=1) + 5
    pairs = [rv_coefficient(values[:, [i]], values[:, [j]]).item() for i in range(6) for j in range(6) if i != j]
    found = channel_rv(values)
    assert found.mean.item() == pytest.approx(np.mean(pairs), abs=1e-10)
    assert found.constant == 0


def test_constant_columns_are_left_out_and_counted():
    values = matrix(40, 3)
    with_constants = torch.cat([values, torch.full((40, 1), 0.1), torch.zeros(40, 1)], 1)
    found = channel_rv(with_constants.float())
    assert found.constant == 2
    assert found.mean.item() == pytest.approx(channel_rv(values.float()).mean.item(), rel=1e-12)


def test_without_a_pair_there_is_no_mean():
    assert channel_rv(matrix(9, 1)).mean.isnan()
    assert channel_rv(torch.ones(9, 4)).mean.isnan()
    assert rv_coefficient(torch.ones(9, 1), matrix(9, 1)).isnan()


def test_other_rows_are_refused():
    with pytest.raises(ValueError, match="same rows"):
        rv_coefficient(matrix(4, 1), matrix(1, 4))
