"""How the activations of one layer lie in space."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from lit_coiba.functional import Places


@dataclass(frozen=True)
class Grid:
    """How one layer's activations lie in space.

    A *position* is a token or a cell: `num_prefix_tokens` tokens without a place (CLS, registers) come first, then
    ``height * width`` places in row-major order.
    """

    layer: str
    layout: Literal["tokens", "channels_first", "channels_last"]
    height: int
    width: int
    channels: int
    num_prefix_tokens: int = 0
    places: Places | None = field(default=None, repr=False)  # the pixels of its cells; None = equal parts of the image

    @property
    def positions(self) -> int:
        """Number of prefix tokens and places together."""
        return self.num_prefix_tokens + self.height * self.width

    def spread(self, values: Tensor) -> Tensor:
        """Values per position, ``(B, positions)``, in a shape that multiplies this layer's activation."""
        if self.layout == "tokens":
            return values.unsqueeze(-1)
        places = values.unflatten(-1, (self.height, self.width))
        return places.unsqueeze(-3) if self.layout == "channels_first" else places.unsqueeze(-1)

    def over_channels(self, activation: Tensor) -> Tensor:
        """Mean of an activation ``(B, ...)`` over its channels, ``(B, positions)``."""
        if self.layout == "channels_first":
            return activation.mean(-3).flatten(-2)
        mean = activation.mean(-1)
        return mean if self.layout == "tokens" else mean.flatten(-2)

    def to_map(self, values: Tensor) -> Tensor:
        """Values per position, ``(B, positions)``, as a map ``(B, h, w)``; prefix tokens are left out."""
        return values[..., self.num_prefix_tokens :].unflatten(-1, (self.height, self.width))

    def to_spatial(self, activation: Tensor) -> Tensor:
        """An activation of this layer as ``(B, C, h, w)``; prefix tokens are left out."""
        if self.layout == "channels_first":
            return activation
        if self.layout == "channels_last":
            return activation.movedim(-1, -3)
        return activation[:, self.num_prefix_tokens :].transpose(1, 2).unflatten(-1, (self.height, self.width))

    def with_spatial(self, activation: Tensor, spatial: Tensor) -> Tensor:
        """An activation of this layer with `spatial` ``(B, C, h, w)`` at its places; prefix tokens stay."""
        if self.layout == "channels_first":
            return spatial
        if self.layout == "channels_last":
            return spatial.movedim(-3, -1)
        return torch.cat([activation[:, : self.num_prefix_tokens], spatial.flatten(2).transpose(1, 2)], 1)
