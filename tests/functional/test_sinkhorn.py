"""Soft orders; R1 to R5 are the checks of section 6 of the spec attribution_2026.md."""

import numpy as np
import pytest
import torch

from lit_coiba.functional.sinkhorn import removed_first, sinkhorn, soft_order

VALUES = torch.randn(3, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
GUMBEL = -torch.rand(9, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64).log().neg().log()


def test_it_is_the_scaling_of_a_matrix_by_the_diagonals_that_make_it_doubly_stochastic():
    scores = torch.randn(7, 7, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    matrix, left, right = np.exp(scores.numpy()), np.ones(7), np.ones(7)
    for _ in range(500):
        left = 1 / (matrix @ right)
        right = 1 / (matrix.T @ left)
    expected = left[:, None] * matrix * right
    np.testing.assert_allclose(expected.sum(0), 1, atol=1e-12)
    np.testing.assert_allclose(expected.sum(1), 1, atol=1e-12)
    np.testing.assert_allclose(sinkhorn(scores, 500), expected, rtol=1e-10)


@pytest.mark.parametrize(("gumbel", "tolerance"), [(None, 0.01), (GUMBEL, 0.1)])  # noise converges more slowly
def test_r5_columns_sum_to_one_exactly_and_rows_nearly(gumbel, tolerance):
    order = soft_order(VALUES, 0.3, gumbel)
    assert order.min() > 0
    torch.testing.assert_close(order.sum(1), torch.ones(3, 9, dtype=torch.float64), rtol=0, atol=1e-12)
    assert (order.sum(2) - 1).abs().max() < tolerance


def test_r1_without_softness_it_is_the_permutation_of_argsort():
    values = VALUES.argsort(1).argsort(1).double() / 8  # from 0 to 1, as the anchors are
    hard = torch.nn.functional.one_hot(values.argsort(descending=True), 9).double()
    torch.testing.assert_close(soft_order(values, 1e-3), hard, rtol=0, atol=1e-3)
    assert (soft_order(values, 1.0) - hard).abs().max() > 0.3


@pytest.mark.parametrize("gumbel", [None, GUMBEL])
def test_r2_a_constant_changes_nothing_and_a_factor_does(gumbel):
    order = soft_order(VALUES, 0.3, gumbel, rounds=2000)
    torch.testing.assert_close(soft_order(VALUES + 5, 0.3, gumbel, rounds=2000), order, rtol=0, atol=1e-3)
    assert (soft_order(3 * VALUES, 0.3, gumbel, rounds=2000) - order).abs().max() > 0.1


def test_r3_negated_values_have_the_reversed_order():
    order = soft_order(VALUES, 0.3, rounds=2000)
    torch.testing.assert_close(soft_order(-VALUES, 0.3, rounds=2000), order.flip(1), rtol=0, atol=1e-8)


def test_equal_values_come_at_every_place_alike():
    order = soft_order(torch.full((1, 5), 0.7), 0.3, rounds=200)
    torch.testing.assert_close(order, torch.full((1, 5, 5), 0.2))


def test_what_has_gone_is_a_loop_over_places():
    order, shares = soft_order(VALUES, 0.3), torch.tensor([0.0, 0.1, 1 / 3, 0.5, 0.99, 1.0], dtype=torch.float64)
    found = removed_first(order, shares)
    assert found.shape == (6, 3, 9)
    for q, share in enumerate(shares.tolist()):
        for image in range(3):
            for cell in range(9):
                gone, left = 0.0, share * 9
                for place in range(9):
                    gone += order[image, place, cell].item() * min(1.0, max(0.0, left))
                    left -= 1
                assert found[q, image, cell].item() == pytest.approx(gone, abs=1e-12)


def test_all_has_gone_at_the_end_and_each_share_removes_that_much():
    order, shares = soft_order(VALUES, 0.3, GUMBEL, rounds=2000), torch.linspace(0, 1, 11, dtype=torch.float64)
    gone = removed_first(order, shares)
    torch.testing.assert_close(gone.sum(2), 9 * shares.unsqueeze(1).expand(11, 3), rtol=0, atol=1e-3)
    torch.testing.assert_close(gone[-1], torch.ones(3, 9, dtype=torch.float64), rtol=0, atol=1e-12)
    assert (gone.diff(dim=0) >= 0).all()
