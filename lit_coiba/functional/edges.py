"""Edges of images: what a detector finds that knows no model."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from lit_coiba.functional.precise import precise

EdgeOperator = Literal["sobel", "laplace"]

LUMA = (0.299, 0.587, 0.114)  # share of red, green and blue in a gray level, ITU-R BT.601


def gray_levels(images: Tensor) -> Tensor:
    """Gray levels of RGB images, ``(B, 3, H, W)`` -> ``(B, H, W)``.

    Example:
        >>> gray_levels(torch.ones(1, 3, 1, 2))
        tensor([[[1., 1.]]])
    """
    return (precise(images) * precise(images).new_tensor(LUMA).view(-1, 1, 1)).sum(-3)


def edge_strength(gray: Tensor, operator: EdgeOperator = "sobel") -> Tensor:
    """Strength of the edges at each pixel of gray levels ``(B, H, W)``; same shape, at least 0.

    The outermost pixels are repeated outside the image: for windows of 3 pixels that is the reflected border of scipy,
    whose operators these are.

    Args:
        gray: Gray levels.
        operator: ``sobel`` = length of the gradient by Sobel's windows over both axes; ``laplace`` = absolute sum of
            the second differences over both axes.

    Example:
        >>> edge_strength(torch.tensor([[[0.0, 0.0, 1.0]]]), "laplace")
        tensor([[[0., 1., 1.]]])
    """
    around = pad(gray.unsqueeze(1), (1, 1, 1, 1), mode="replicate").squeeze(1)
    if operator == "laplace":
        rows, columns = around[:, :, 1:-1], around[:, 1:-1]
        second = rows[:, 2:] + rows[:, :-2] + columns[:, :, 2:] + columns[:, :, :-2] - 4 * gray
        return second.abs()
    tall = around[:, 2:] - around[:, :-2]  # (B, H, W + 2), differences down the rows
    wide = around[:, :, 2:] - around[:, :, :-2]  # (B, H + 2, W)
    down = tall[:, :, :-2] + 2 * tall[:, :, 1:-1] + tall[:, :, 2:]
    right = wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
    return torch.hypot(down, right)
