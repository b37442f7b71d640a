import numpy as np
import pytest
import torch

from lit_coiba.functional import (
    cosine_similarity_weights,
    explained_variance,
    noise,
    weighted_lasso,
    weighted_ridge,
)


def data(n=40, d=6, batch=3):
    shown = (noise(1, 0, 0, (n, d)) > 0).double()
    true = noise(1, 1, 0, (batch, d)).double()
    return shown, true @ shown.T + 0.1 * noise(1, 2, 0, (batch, n)).double() + 5


def test_weights_are_those_of_the_cosine_distance():
    shown = (noise(0, 0, 0, (20, 7)) > 0).double()
    ones = torch.ones(7, dtype=torch.float64)
    for row, weight in zip(shown, cosine_similarity_weights(shown, 0.25)):
        norm = float(row.norm())
        distance = 1 - float(row @ ones) / (norm * 7**0.5) if norm else 1.0
        assert abs(weight - np.exp(-(distance**2) / (2 * 0.25**2))) < 1e-12


@pytest.mark.parametrize("alpha", [0.0, 0.3, 2.0])
def test_ridge_is_that_of_scikit_learn(alpha):
    linear = pytest.importorskip("sklearn.linear_model")
    shown, scores = data()
    weights = cosine_similarity_weights(shown)
    coefficients, intercepts = weighted_ridge(shown, scores, weights, alpha)
    r2 = explained_variance(shown, scores, weights, coefficients, intercepts)
    for i, y in enumerate(scores):
        model = linear.Ridge(alpha) if alpha else linear.LinearRegression()
        model.fit(shown.numpy(), y.numpy(), weights.numpy())
        np.testing.assert_allclose(coefficients[i], model.coef_, atol=1e-9)
        assert abs(intercepts[i] - model.intercept_) < 1e-9
        assert abs(r2[i] - model.score(shown.numpy(), y.numpy(), weights.numpy())) < 1e-9


@pytest.mark.parametrize("alpha", [0.0, 0.01, 0.2, 50.0])
def test_lasso_is_that_of_scikit_learn(alpha):
    linear = pytest.importorskip("sklearn.linear_model")
    shown, scores = data()
    shown[:, 2] = 1.0  # a part that is always shown has no coefficient
    weights = cosine_similarity_weights(shown)
    coefficients, intercepts = weighted_lasso(shown, scores, weights, alpha)
    for i, y in enumerate(scores):
        model = linear.Lasso(alpha, tol=1e-12, max_iter=100_000) if alpha else linear.LinearRegression()
        model.fit(shown.numpy(), y.numpy(), weights.numpy())
        np.testing.assert_allclose(coefficients[i], model.coef_, atol=1e-7)
        assert abs(intercepts[i] - model.intercept_) < 1e-7
    assert (coefficients[:, 2] == 0).all()
    assert (coefficients == 0).all() == (alpha == 50)


def test_fewer_copies_than_parts_have_the_smallest_coefficients():
    shown, scores = data(4, 9)
    coefficients, intercepts = weighted_ridge(shown, scores, torch.ones(4), 0.0)
    torch.testing.assert_close(coefficients @ shown.T + intercepts[:, None], scores)
    almost, _ = weighted_ridge(shown, scores, torch.ones(4), 1e-7)
    torch.testing.assert_close(coefficients, almost, atol=1e-5, rtol=0)


def test_constant_scores_have_no_coefficients_and_nothing_to_explain():
    shown, _ = data()
    scores, weights = torch.full((2, 40), 3.0), cosine_similarity_weights(shown)
    for fit in (weighted_ridge, weighted_lasso):
        coefficients, intercepts = fit(shown, scores, weights, 0.1)
        assert coefficients.abs().max() < 1e-12
        torch.testing.assert_close(intercepts, torch.full((2,), 3.0).double())
        assert explained_variance(shown, scores, weights, coefficients, intercepts).isfinite().all()


def test_a_lasso_does_not_stop_early_beside_one_of_large_scores():
    generator = torch.Generator().manual_seed(0)
    shown = (torch.rand(24, 12, generator=generator) > 0.5).double()
    weights = torch.ones(24)
    scores = torch.stack([torch.randn(24, generator=generator).double(), 1e14 * shown[:, 0]])
    together, alone = (weighted_lasso(shown, y, weights, 1e-9)[0] for y in (scores, scores[:1]))
    torch.testing.assert_close(together[:1], alone, rtol=1e-6, atol=1e-14)
