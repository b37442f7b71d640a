"""Linear models that imitate scores where parts of an image are hidden: LIME's fits, in closed form or by descent.

Ribeiro, Singh and Guestrin, ""Why Should I Trust You?": Explaining the Predictions of Any Classifier", 2016
(arXiv 1602.04938).
"""

from __future__ import annotations

import torch
from torch import Tensor

SWEEPS = 5000  # of coordinate descent, at most
TOLERANCE = 1e-12  # largest step of a sweep, in shares of the largest coefficient


def cosine_similarity_weights(shown: Tensor, width: float = 0.25) -> Tensor:
    """How near each copy is to the whole image, fp64 ``(..., n)``: ``exp(-D^2 / (2 width^2))``, D the cosine distance.

    Args:
        shown: Which parts each copy shows, ``(..., n, d)`` of zeros and ones.
        width: 0.25 in the authors' package for images.

    Example:
        >>> cosine_similarity_weights(torch.tensor([[1, 1], [1, 0], [0, 0]]))
        tensor([1.0000e+00, 5.0344e-01, 3.3546e-04], dtype=torch.float64)
    """
    distance = 1 - shown.double().mean(-1).sqrt()  # from all ones: the cosine is sqrt(|z| / d)
    return (-0.5 * (distance / width).square()).exp()


def weighted_ridge(shown: Tensor, scores: Tensor, weights: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Coefficients ``(..., d)`` and intercepts ``(...)``: ``sum w (y - b - z c)^2 + alpha |c|^2`` is smallest.

    Args:
        shown: ``(..., n, d)``.
        scores: ``(..., n)``.
        weights: ``(..., n)``.
        alpha: Penalty of the coefficients; the intercept is not penalized.

    Example:
        >>> weighted_ridge(torch.tensor([[0.0], [1.0]]), torch.tensor([1.0, 3.0]), torch.ones(2), 0.0)
        (tensor([2.], dtype=torch.float64), tensor(1., dtype=torch.float64))
    """
    z, y, means = _centred(shown, scores, weights)
    weighted = (weights.double().unsqueeze(-1) * z).mT
    gram = weighted @ z + alpha * torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
    moments = weighted @ y.unsqueeze(-1)
    if alpha:
        coefficients = torch.linalg.solve(gram, moments).squeeze(-1)
    else:  # fewer copies than parts, say: the smallest coefficients of all that fit
        coefficients = (torch.linalg.pinv(gram, hermitian=True) @ moments).squeeze(-1)
    return coefficients, means[1] - (means[0] * coefficients).sum(-1)


def weighted_lasso(shown: Tensor, scores: Tensor, weights: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Coefficients ``(..., d)`` and intercepts: ``sum w (y - b - z c)^2 / 2 sum w + alpha |c|_1`` is smallest.

    By cyclic coordinate descent on the moments (Friedman, Hastie and Tibshirani, 2010).

    Args:
        shown: ``(..., n, d)``.
        scores: ``(..., n)``.
        weights: ``(..., n)``.
        alpha: Penalty, with scikit-learn's scaling.

    Example:
        >>> weighted_lasso(torch.tensor([[0.0], [1.0]]), torch.tensor([1.0, 3.0]), torch.ones(2), 0.1)
        (tensor([1.6000], dtype=torch.float64), tensor(1.2000, dtype=torch.float64))
    """
    z, y, means = _centred(shown, scores, weights)
    shares = weights.double() / weights.double().sum(-1, keepdim=True)
    weighted = (shares.unsqueeze(-1) * z).mT
    gram, moments = weighted @ z, (weighted @ y.unsqueeze(-1)).squeeze(-1)
    coefficients = torch.zeros_like(moments)
    for _ in range(SWEEPS):
        before = coefficients.clone()
        for part in range(z.shape[-1]):
            own = gram[..., part, part]
            rest = moments[..., part] - (gram[..., part, :] * coefficients).sum(-1) + own * coefficients[..., part]
            soft = rest.sign() * (rest.abs() - alpha).clamp_min(0)
            coefficients[..., part] = torch.where(own > 0, soft / own, 0.0)
        moved, size = (values.abs().amax(-1) for values in (coefficients - before, coefficients))
        if (moved <= TOLERANCE * size).all():  # each problem by its own scale
            break
    return coefficients, means[1] - (means[0] * coefficients).sum(-1)


def explained_variance(
    shown: Tensor, scores: Tensor, weights: Tensor, coefficients: Tensor, intercepts: Tensor
) -> Tensor:
    """Weighted share of the variance of the scores that a linear model explains, ``(...)``; 0 where there is none.

    Example:
        >>> z, y = torch.tensor([[0.0], [1.0]]), torch.tensor([1.0, 3.0])
        >>> explained_variance(z, y, torch.ones(2), torch.tensor([2.0]), torch.tensor(1.0))
        tensor(1., dtype=torch.float64)
    """
    _, y, _ = _centred(shown, scores, weights)
    left = (
        scores.double() - intercepts.unsqueeze(-1) - (shown.double() @ coefficients.double().unsqueeze(-1)).squeeze(-1)
    )
    total = (weights.double() * y.square()).sum(-1)
    share = 1 - (weights.double() * left.square()).sum(-1) / total
    return torch.where(total > 0, share, 0.0)


def _centred(shown: Tensor, scores: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Parts and scores less their weighted means, and these, ``(..., d)`` and ``(...)``; fp64."""
    shares = weights.double() / weights.double().sum(-1, keepdim=True)
    mean_shown = (shares.unsqueeze(-1) * shown.double()).sum(-2)
    mean_score = (shares * scores.double()).sum(-1)
    return (
        shown.double() - mean_shown.unsqueeze(-2),
        scores.double() - mean_score.unsqueeze(-1),
        (mean_shown, mean_score),
    )
