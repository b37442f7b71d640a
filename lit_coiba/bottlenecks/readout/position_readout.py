"""The network that reads a ratio for each position out of a model's features: what per-sample CoIBA would have to fit.

Ours. The idea of reading the ratios of a bottleneck out of features is Readout IBA's (Schulz et al., 2020, arXiv
2001.00396); what is shared by all bottleneck layers, and the objective, is CoIBA's (Hong et al., 2025, arXiv
2507.04388).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from lit_coiba.functional import precise

BOUND = 8.0  # of the logits, by a hyperbolic tangent: a clamp has no gradient outside
START = 2.0  # logit of every ratio before training


class PositionReadout(nn.Module):
    """One value for each position, from features of that position and its neighbors and from what is explained.

    Each feature goes through a layer norm and a linear map to `width`; their sum is scaled by ``1 + A w``, w the
    direction of the target in the classifier. Two residual blocks with depthwise 3 x 3 convolutions follow on the grid;
    prefix tokens, which have no neighbors, skip them and have an output of their own.

    Args:
        channels: Channels of each feature.
        normalized: Whether each feature goes through a layer norm.
        directions: Dimensions D of the directions.
        size: Rows and columns of the grid.
        prefix: Number of prefix tokens.
        width: Channels inside.
        bound: Largest absolute value; None = unbounded.
        start: Value of every position before training.
    """

    def __init__(
        self,
        channels: Sequence[int],
        normalized: Sequence[bool],
        directions: int,
        size: tuple[int, int],
        prefix: int,
        width: int = 128,
        bound: float | None = BOUND,
        start: float = START,
    ) -> None:
        super().__init__()
        self.size, self.prefix, self.bound = size, prefix, bound
        self.norms = nn.ModuleList(
            nn.LayerNorm(count) if norm else nn.Identity() for count, norm in zip(channels, normalized)
        )
        self.inputs = nn.ModuleList(nn.Linear(count, width) for count in channels)
        self.condition = nn.Linear(directions, width, bias=False)
        self.mix = nn.Linear(width, width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(2))
        self.output = _constant(width, start if bound is None else bound * math.atanh(start / bound))
        self.prefix_output = _constant(width, self.output.bias.item()) if prefix else None

    def forward(self, features: Sequence[Tensor], directions: Tensor) -> Tensor:
        """Values ``(B, positions)`` in fp32 at least.

        Args:
            features: Each ``(B, positions, C)``.
            directions: ``(B, D)``, of length 1.
        """
        read = [linear(norm(t)) for linear, norm, t in zip(self.inputs, self.norms, features)]
        hidden = torch.stack(read).sum(0) * (1 + self.condition(directions)).unsqueeze(1)
        hidden = gelu(self.mix(hidden))
        grid = hidden[:, self.prefix :].transpose(1, 2).unflatten(2, self.size)
        for block in self.blocks:
            grid = block(grid)
        values = self.output(grid.flatten(2).transpose(1, 2))
        if self.prefix_output is not None:
            values = torch.cat([self.prefix_output(hidden[:, : self.prefix]), values], 1)
        values = precise(values.squeeze(-1))
        return values if self.bound is None else self.bound * torch.tanh(values / self.bound)


class _Block(nn.Module):
    """Residual: depthwise 3 x 3, then twice the channels and back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.around = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.widen = nn.Conv2d(width, 2 * width, 1)
        self.narrow = nn.Conv2d(2 * width, width, 1)

    def forward(self, grid: Tensor) -> Tensor:
        """``(B, width, h, w)``."""
        changed: Tensor = self.narrow(gelu(self.widen(self.around(grid))))
        return grid + changed


def _constant(width: int, value: float) -> nn.Linear:
    """A linear map to one value, which is the same for every input until it is trained."""
    linear = nn.Linear(width, 1)
    nn.init.zeros_(linear.weight)
    nn.init.constant_(linear.bias, value)
    return linear
