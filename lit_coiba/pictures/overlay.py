"""A map as colors, and over its picture."""

from __future__ import annotations

from functools import lru_cache

import matplotlib
import numpy as np
import torch
from torch import Tensor

from lit_coiba.functional import resize_map

COLOURMAP = "inferno"  # perceptually uniform, dark for nothing
OPACITY = 0.9  # of the heat at full scale
GAMMA = 0.75  # of the opacity: below 1, a faint place is still seen
GRID_CELLS = 64 * 64  # a map with more cells has one for each pixel or so
PERCENTILE = 0.99  # of such a map, what is shown as its brightest color
OFFSET = 0.5  # a map that is everywhere above this share of its full scale is shown from its minimum on
PAPER = 0.75  # how far the picture below the heat keeps its contrast; the rest is white

_GREY = torch.tensor([0.299, 0.587, 0.114])  # luma of RGB, ITU-R BT.601


def full_scale(values: Tensor) -> float:
    """The value of a map ``(h, w)`` that is shown as its brightest color: the maximum, at least 0.

    Of a map of single pixels it is the 99th percentile, where that is not 0: a few outliers would leave the rest black.
    """
    positive = _positive(values).flatten()
    if len(positive) > GRID_CELLS:
        percentile = positive.kthvalue(int(PERCENTILE * len(positive))).values.item()
        if percentile > 0:
            return float(percentile)
    return float(positive.max()) if len(positive) else 0.0


def zero_scale(values: Tensor) -> float:
    """The value of a map ``(h, w)`` that is shown as nothing: 0, or the minimum of one that is nowhere near 0.

    RISE and ViT-CX put a mean score everywhere; what they say is in the differences.
    """
    lowest = float(values.detach().double().nan_to_num(0.0, 0.0, 0.0).amin()) if values.numel() else 0.0
    highest = full_scale(values)
    return lowest if OFFSET * highest < lowest < highest else 0.0


def relative(values: Tensor, scale: float | None = None) -> Tensor:
    """A map ``(h, w)`` as shares of its full scale: 0 at and below `zero_scale`, 1 at and above the full scale.

    NaN becomes 0.

    Args:
        values: The map.
        scale: Another full scale than its own, above 0.

    Example:
        >>> relative(torch.tensor([[-1.0, 2.0, 4.0]]))
        tensor([[0.0000, 0.5000, 1.0000]])
    """
    low = zero_scale(values) if scale is None else 0.0
    above = (full_scale(values) if scale is None else scale) - low
    positive = (_positive(values) - low).clamp_min(0)
    return (positive / above).clamp_max(1).float() if above > 0 else torch.zeros_like(positive).float()


def heat(values: Tensor) -> Tensor:
    """Numbers in [0, 1], ``(H, W)``, as colors ``(3, H, W)`` uint8."""
    return _colors()[(values * 255).round().long()].permute(2, 0, 1).contiguous()


def overlay(pixels: Tensor, values: Tensor) -> Tensor:
    """A map as heat over its picture in grey: the hotter, the more opaque.

    Args:
        pixels: The picture, ``(3, H, W)`` uint8.
        values: The map at its native grid, ``(h, w)``; it is shown relative to its full scale.

    Returns:
        ``(3, H, W)`` uint8.
    """
    shares = enlarged(values, (pixels.shape[1], pixels.shape[2]))
    grey = (_GREY.view(3, 1, 1) * pixels.float()).sum(0) * PAPER + 255 * (1 - PAPER)
    opacity = OPACITY * shares**GAMMA
    return ((1 - opacity) * grey + opacity * heat(shares).float()).round().to(torch.uint8)


def enlarged(values: Tensor, size: tuple[int, int]) -> Tensor:
    """A map ``(h, w)`` as shares of its full scale, ``(H, W)``."""
    return resize_map(relative(values)[None], size)[0]


def _positive(values: Tensor) -> Tensor:
    return values.detach().cpu().double().nan_to_num(0.0, 0.0, 0.0).clamp_min(0)


@lru_cache(maxsize=1)
def _colors() -> Tensor:
    """The color map, ``(256, 3)`` uint8."""
    return torch.from_numpy(matplotlib.colormaps[COLOURMAP](np.arange(256), bytes=True)[:, :3].copy())
