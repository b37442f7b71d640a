"""Colors whose channels are nearly uncorrelated in natural images, as feature visualization optimizes them.

The matrix is that of the lucid family of libraries, Olah, Mordvintsev and Schubert, "Feature Visualization", 2017.
"""

from __future__ import annotations

import torch
from torch import Tensor

MATRIX = ((0.5628, 0.5845, 0.5845), (0.1948, 0.0, -0.1948), (0.0433, -0.1082, 0.0649))  # of a row vector, from the left


def to_rgb(values: Tensor) -> Tensor:
    """Decorrelated colors ``(..., 3, H, W)`` as RGB, without bounds.

    Example:
        >>> to_rgb(torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)).flatten()
        tensor([0.5628, 0.5845, 0.5845])
    """
    return torch.einsum("...ihw,ij->...jhw", values, values.new_tensor(MATRIX))


def from_rgb(colors: Tensor) -> Tensor:
    """What `to_rgb` makes these colors from.

    Example:
        >>> from_rgb(torch.tensor([0.5628, 0.5845, 0.5845]).view(3, 1, 1)).flatten().round(decimals=4).abs()
        tensor([1., 0., 0.])
    """
    inverse = torch.tensor(MATRIX, dtype=torch.float64).inverse()
    return torch.einsum("...ihw,ij->...jhw", colors, inverse.to(colors))
