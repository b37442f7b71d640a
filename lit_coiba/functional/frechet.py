"""How far apart two sets of feature vectors are, as normal distributions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.functional.precise import fp64_where_possible


class Scatter(NamedTuple):
    """Mean and scatter of a set of vectors, merged exactly whatever the split."""

    size: int  # number of vectors
    mean: Tensor  # (C,)
    squares: Tensor  # (C, C): sum of (x - mean)(x - mean)^T

    @classmethod
    def of(cls, vectors: Tensor) -> Scatter:
        """Of vectors ``(n, C)``, in fp64 where the device has it."""
        values = fp64_where_possible(vectors)
        mean = values.mean(0)
        centered = values - mean
        return cls(len(values), mean, centered.T @ centered)

    def merge(self, other: Scatter) -> Scatter:
        """Of both sets together."""
        size, delta = self.size + other.size, other.mean - self.mean
        between = torch.outer(delta, delta) * (self.size * other.size / size)
        return Scatter(size, self.mean + delta * (other.size / size), self.squares + other.squares + between)

    def covariance(self) -> Tensor:
        """``(C, C)``, with divisor n - 1."""
        return self.squares / (self.size - 1)


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
    return scatter_distance(Scatter.of(first), Scatter.of(second))


def scatter_distance(first: Scatter, second: Scatter) -> Tensor:
    """`frechet_distance` of two sets of which only mean and scatter are known."""
    covariances = first.covariance(), second.covariance()
    root = _root(covariances[0])
    mixed = torch.linalg.eigvalsh(root @ covariances[1] @ root).clamp_min(0).sqrt().sum()
    spread = sum(covariance.trace() for covariance in covariances) - 2 * mixed
    return (first.mean - second.mean).square().sum() + spread.clamp_min(0)


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp_min(0).sqrt() @ vectors.T
