"""What a bottleneck layer would cost the score at each position, to first order: read off one gradient. Ours."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.bottlenecks.prior import NoisePrior
from lit_coiba.core.grid import Grid

_FLOOR = 1e-3  # of a position's share, below which a logarithm tells it from nothing


class FirstOrder(NamedTuple):
    """First-order changes of the score, ``(B, positions)`` each."""

    drop: Tensor  # if a position is replaced by its mean, signed
    noise: Tensor  # standard deviation that its noise would give the score

    def standardized(self) -> Tensor:
        """Without the gradient's scale: the drop, and the logarithm of either's size, ``(B, positions, 3)``."""
        size = self.noise.mean(-1, keepdim=True).clamp_min(torch.finfo(self.noise.dtype).tiny)
        drop, noise = self.drop / size, self.noise / size
        return torch.stack([drop, _over_positions(drop.abs()), _over_positions(noise)], -1)


def first_order(prior: NoisePrior, layer: int, activation: Tensor, slope: Tensor, grid: Grid) -> FirstOrder:
    """Changes of a score with the gradient `slope` with respect to the activation of a bottleneck layer.

    With g the gradient, the drop is ``sum_c g (R - mean)``, the noise ``sqrt(sum_c (g std)^2)``.

    Args:
        prior: Noise of the layers.
        layer: Number of the layer.
        activation: ``(B, *activation)``.
        slope: Like it.
        grid: Its grid.
    """
    mean, std = prior.parameters(layer, activation)
    slope = slope.to(mean.dtype)
    drop = grid.over_channels(slope * (activation.to(mean.dtype) - mean)) * grid.channels
    noise = (grid.over_channels((slope * std).square()) * grid.channels).sqrt()
    return FirstOrder(drop, noise)


def _over_positions(share: Tensor) -> Tensor:
    size = (share + _FLOOR).log()
    spread = size.std(-1, correction=0, keepdim=True).clamp_min(_FLOOR)
    return (size - size.mean(-1, keepdim=True)) / spread
