"""GroupSort of pairs, written with operations that everything which walks a network has rules for.

Anil et al., Sorting out Lipschitz function approximation, 2019 (arXiv 1811.05381). Sorting permutes numbers, so it has
the Lipschitz constant 1 and, unlike ReLU, keeps the norm of every gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from lit_coiba.core.errors import InputError


class GroupSort2(nn.Module):
    """Channel c of the first half and channel c of the second half become their minimum and their maximum.

    With d = relu(a - b), min(a, b) = a - d and max(a, b) = b + d, hence ``x + spread(relu(difference(x)))`` with two
    fixed linear layers: convolutions, ReLU and a sum are what LRP, DeepLIFT and verified bounds know.

    Args:
        channels: Number of channels, even.
        images: Whether it is for ``(B, C, h, w)``; else for ``(B, C)``.

    Raises:
        InputError: The number of channels is odd.

    Example:
        >>> GroupSort2(4, images=False)(torch.tensor([[3.0, 1.0, 2.0, 5.0]]))
        tensor([[2., 1., 3., 5.]])
    """

    def __init__(self, channels: int, images: bool = True) -> None:
        super().__init__()
        if channels < 2 or channels % 2:
            raise InputError(f"GroupSort2 sorts pairs of channels, and there are {channels}: give an even number")
        self.channels = channels
        self.images = images
        eye = torch.eye(channels // 2)
        self.difference = _fixed(torch.cat([eye, -eye], 1), images)
        self.spread = _fixed(torch.cat([-eye, eye], 0), images)

    def forward(self, x: Tensor) -> Tensor:
        """Sorted pairs, of the shape of `x`."""
        return x + self.spread(relu(self.difference(x)))

    def extra_repr(self) -> str:
        """The number of channels."""
        return f"{self.channels}"


def _fixed(weight: Tensor, images: bool) -> nn.Module:
    """A linear layer, or a convolution of 1 x 1, whose weight is neither trained nor a part of any file."""
    rows, columns = weight.shape
    layer = nn.Conv2d(columns, rows, 1, bias=False) if images else nn.Linear(columns, rows, bias=False)
    del layer.weight
    layer.register_buffer("weight", weight[:, :, None, None] if images else weight, persistent=False)
    return layer
