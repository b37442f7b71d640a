"""Mean and variance of a stream, merged exactly whatever the split (Chan, Golub and LeVeque, 1979)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """Count, mean, sum of squared deviations and number of non-zero entries of a set of samples, in fp64."""

    size: int  # number of samples
    mean: Tensor  # (...)
    squares: Tensor  # (...): sum of (x - mean)^2
    nonzero: Tensor  # (...): samples in which the unit is not zero

    @classmethod
    def of(cls, samples: Tensor) -> Moments:
        """Moments of ``(B, ...)`` samples over their first axis."""
        samples = samples.double()
        mean = samples.mean(0)
        return cls(len(samples), mean, (samples - mean).square().sum(0), (samples != 0).sum(0).double())

    def merge(self, other: Moments) -> Moments:
        """Moments of both sets together."""
        size = self.size + other.size
        delta = other.mean - self.mean
        return Moments(
            size,
            self.mean + delta * (other.size / size),
            self.squares + other.squares + delta.square() * (self.size * other.size / size),
            self.nonzero + other.nonzero,
        )

    def std(self) -> Tensor:
        """Standard deviation with divisor n - 1; zero for a single sample."""
        return torch.sqrt(self.squares / max(self.size - 1, 1))
