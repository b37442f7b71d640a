"""Exact non-negative least squares, and its gradient (checks 3 and 4 of the specification of CRAFT)."""

import numpy as np
import pytest
import torch
from scipy.optimize import nnls as scipy_nnls

from lit_coiba.functional.nnls import nnls

TINY = 1e-3  # of strict complementarity


def problem(seed, rows=50, concepts=8, channels=40, positive=False):
    generator = torch.Generator().manual_seed(seed)
    dictionary = torch.randn(concepts, channels, generator=generator, dtype=torch.float64)
    activations = torch.randn(rows, channels, generator=generator, dtype=torch.float64)
    return (activations.abs(), dictionary.abs()) if positive else (activations, dictionary)


def multipliers(rows, dictionary, found):
    return (found @ dictionary - rows) @ dictionary.T


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("concepts", "channels"), [(8, 40), (20, 64), (12, 6), (1, 3)])
@pytest.mark.parametrize("positive", [False, True])
def test_meets_the_optimality_conditions(seed, concepts, channels, positive):
    rows, dictionary = problem(seed, 40, concepts, channels, positive)
    found = nnls(rows, dictionary)
    dual = multipliers(rows, dictionary, found)
    assert found.min() >= 0
    assert dual.min() > -1e-8
    assert (found * dual).abs().max() < 1e-8
    expected = np.stack([scipy_nnls(dictionary.T.numpy(), row)[1] for row in rows.numpy()])
    residuals = (rows - found @ dictionary).norm(dim=1)
    torch.testing.assert_close(residuals, torch.from_numpy(expected), rtol=1e-9, atol=1e-9)


def test_concepts_that_depend_on_one_another_are_no_obstacle():
    rows, dictionary = problem(0, 60, 10, 30, positive=True)
    dictionary[5:] = dictionary[:5]
    found = nnls(rows, dictionary)
    dual = multipliers(rows, dictionary, found)
    assert dual.min() > -1e-8
    assert (found * dual).abs().max() < 1e-8
    single = nnls(rows, dictionary[:5])
    torch.testing.assert_close(found[:, :5] + found[:, 5:], single, rtol=1e-6, atol=1e-8)


def test_a_row_of_zeros_has_coefficients_zero_and_finite_gradients():
    rows, dictionary = problem(0)
    dictionary[3] = 0
    rows.requires_grad_()
    found = nnls(rows, dictionary)
    found.sum().backward()
    assert found[:, 3].abs().max() == 0
    assert rows.grad.isfinite().all()


def test_the_gradient_is_that_of_central_differences():
    checked = 0
    for seed in range(50):
        rows, dictionary = problem(seed, rows=1)
        found = nnls(rows, dictionary)
        dual = multipliers(rows, dictionary, found)
        if found[found > 0].min() < TINY or dual[found == 0].min() < TINY:
            continue
        generator = torch.Generator().manual_seed(seed + 1000)
        cotangent = torch.randn(found.shape, generator=generator, dtype=torch.float64)
        leaf = rows.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(nnls(leaf, dictionary), leaf, cotangent)
        steps = 1e-6 * torch.eye(rows.shape[1], dtype=torch.float64)
        numeric = ((nnls(rows + steps, dictionary) - nnls(rows - steps, dictionary)) @ cotangent[0]) / 2e-6
        assert (gradient[0] - numeric).norm() / numeric.norm() < 1e-5
        checked += 1
    assert checked > 20


def test_coefficients_are_homogeneous_of_degree_one():
    rows, dictionary = problem(1)
    rows.requires_grad_()
    found = nnls(rows, dictionary)
    for concept in range(found.shape[1]):
        (gradient,) = torch.autograd.grad(found[:, concept].sum(), rows, retain_graph=True)
        torch.testing.assert_close((gradient * rows).sum(1), found[:, concept], rtol=1e-12, atol=1e-12)


def test_scaling_and_permuting_concepts_scales_and_permutes_coefficients():
    rows, dictionary = problem(2)
    scale = torch.tensor([1e-3, 1e3, 1.0, 2.0, 5.0, 0.1, 7.0, 1.0], dtype=torch.float64)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    found = nnls(rows, dictionary)
    torch.testing.assert_close(nnls(rows, dictionary * scale.unsqueeze(1)), found / scale)
    torch.testing.assert_close(nnls(rows, dictionary[order]), found[:, order])


def test_keeps_shape_and_type_and_takes_no_rows():
    rows, dictionary = problem(3)
    whole = nnls(rows, dictionary)
    grid = nnls(rows.float().unflatten(0, (5, 2, 5)), dictionary.float())
    assert grid.dtype == torch.float32
    assert grid.shape == (5, 2, 5, 8)
    torch.testing.assert_close(grid.flatten(0, 2), whole.float(), rtol=1e-4, atol=1e-5)
    assert nnls(rows.bfloat16(), dictionary).dtype == torch.float32
    assert nnls(rows[:0], dictionary).shape == (0, 8)


def test_rows_are_solved_alone_whatever_is_beside_them(monkeypatch):
    rows, dictionary = problem(4)
    whole = nnls(rows, dictionary)
    monkeypatch.setattr("lit_coiba.functional.nnls._ENTRIES", 7 * 64)
    torch.testing.assert_close(nnls(rows, dictionary), whole, rtol=1e-12, atol=1e-14)


def test_rows_that_are_not_finite_have_no_coefficients_and_disturb_no_other():
    rows, dictionary = problem(5)
    whole = nnls(rows, dictionary)
    rows[3, 0], rows[7, 1] = torch.nan, torch.inf
    found = nnls(rows, dictionary)
    assert found[[3, 7]].isnan().all()
    others = [i for i in range(len(rows)) if i not in (3, 7)]
    torch.testing.assert_close(found[others], whole[others], rtol=1e-12, atol=1e-14)


def test_concepts_that_are_nearly_the_same():
    generator = torch.Generator().manual_seed(0)
    dictionary = torch.rand(1, 64, generator=generator, dtype=torch.float64)
    dictionary = dictionary + 1e-5 * torch.randn(20, 64, generator=generator, dtype=torch.float64)
    rows = torch.rand(100, 64, generator=generator, dtype=torch.float64)
    found = nnls(rows, dictionary)
    dual = multipliers(rows, dictionary, found)
    assert dual.min() > -1e-8
    assert (found * dual).abs().max() < 1e-8
