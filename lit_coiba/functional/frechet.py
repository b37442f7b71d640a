"""How far apart two sets of feature vectors are, as normal distributions."""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.functional.precise import fp64_where_possible


def frechet_distance(first: Tensor, second: Tensor) -> Tensor:
    """Squared Frechet distance of two normal distributions fitted to features ``(n, C)`` and ``(m, C)``; a scalar.

    Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", 2017 (arXiv 1706.08500): of the features of the
    Inception network it is the FID; of others it is a number of its own.

    Args:
        first: Features, two vectors at least.
        second: Features, two vectors at least.

    Example:
        >>> frechet_distance(torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [5.0]]))
        tensor(9., dtype=torch.float64)
    """
    means, covariances = zip(*map(_moments, (first, second)))
    root = _root(covariances[0])
    mixed = torch.linalg.eigvalsh(root @ covariances[1] @ root).clamp_min(0).sqrt().sum()
    spread = sum(covariance.trace() for covariance in covariances) - 2 * mixed
    return (means[0] - means[1]).square().sum() + spread.clamp_min(0)


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean ``(C,)`` and covariance ``(C, C)`` with divisor n - 1."""
    values = fp64_where_possible(features)
    mean = values.mean(0)
    centered = values - mean
    return mean, centered.T @ centered / (len(values) - 1)


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp_min(0).sqrt() @ vectors.T
