"""A map as colors, and over its picture."""

from __future__ import annotations

from functools import lru_cache

import matplotlib
import numpy as np
import torch
from torch import Tensor

from lit_coiba.functional import resize_map
from lit_coiba.pictures.scale import Scale, undefined

ONE_SIGN = "inferno"  # matplotlib's, perceptually uniform, dark for nothing
TWO_SIGNS = "RdBu_r"  # red above 0, blue below, white for nothing
SIGNED_SPAN = 0.84  # share of it that is used: its ends are nearly black
OPACITY = 0.9  # of the heat at full scale
GAMMA = 0.75  # of the opacity: below 1, a faint place is still seen
PAPER = 0.75  # how far the picture below the heat keeps its contrast; the rest is white

_GRAY = torch.tensor([0.299, 0.587, 0.114])  # luma of RGB, ITU-R BT.601
_STRIPES = (235.0, 160.0)  # grays of the hatching where a map is not a number
_STRIPE = 3  # pixels


def painted(values: Tensor, size: tuple[int, int], scale: Scale | None = None) -> Tensor:
    """A map in colors, ``(3, H, W)`` uint8; hatched where it is NaN.

    Args:
        values: The map at its native grid, ``(h, w)``.
        size: H and W in pixels.
        scale: What its colors stand for; None = its own scale.
    """
    scale = Scale.of(values) if scale is None else scale
    return _hatched(colors(enlarged(values, size, scale), scale.signed), values)


def painted_over(pixels: Tensor, values: Tensor, scale: Scale | None = None) -> Tensor:
    """A map as heat over its picture in gray, ``(3, H, W)`` uint8: the hotter, the more opaque; hatched where NaN.

    Args:
        pixels: The picture, ``(3, H, W)`` uint8.
        values: The map at its native grid, ``(h, w)``.
        scale: What its colors stand for; None = its own scale.
    """
    scale = Scale.of(values) if scale is None else scale
    shares = enlarged(values, (pixels.shape[1], pixels.shape[2]), scale)
    gray = (_GRAY.view(3, 1, 1) * pixels.float()).sum(0) * PAPER + 255 * (1 - PAPER)
    opacity = OPACITY * shares.abs() ** GAMMA
    mixed = (1 - opacity) * gray + opacity * colors(shares, scale.signed).float()
    return _hatched(mixed.round().to(torch.uint8), values)


def colors(shares: Tensor, signed: bool = False) -> Tensor:
    """Shares of a scale, ``(H, W)`` in [0, 1], or in [-1, 1] if `signed`, as colors ``(3, H, W)`` uint8."""
    index = (SIGNED_SPAN * shares + 1) / 2 if signed else shares
    return _table(TWO_SIGNS if signed else ONE_SIGN)[(index * 255).round().long()].permute(2, 0, 1).contiguous()


def enlarged(values: Tensor, size: tuple[int, int], scale: Scale | None = None) -> Tensor:
    """A map ``(h, w)`` as shares of a scale, by default its own, ``(H, W)``."""
    scale = Scale.of(values) if scale is None else scale
    return resize_map(scale.shares(values)[None], size)[0]


def _hatched(picture: Tensor, values: Tensor) -> Tensor:
    """A painted map with gray stripes where its values are not numbers."""
    missing = undefined(values)
    if not missing.any():
        return picture
    height, width = picture.shape[1:]
    where = resize_map(missing.float()[None], (height, width))[0] >= 0.5
    bright = ((torch.arange(height)[:, None] + torch.arange(width)) // _STRIPE) % 2 == 0
    stripes = torch.where(bright, *_STRIPES).to(torch.uint8)
    return torch.where(where, stripes, picture)


@lru_cache(maxsize=2)
def _table(name: str) -> Tensor:
    """A color map of matplotlib, ``(256, 3)`` uint8."""
    return torch.from_numpy(matplotlib.colormaps[name](np.arange(256), bytes=True)[:, :3].copy())
