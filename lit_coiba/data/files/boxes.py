"""Boxes around objects, in pixels or in shares of a picture, and the region that they cover."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_EXACT = 1e-6  # pixels by which a product of a share and a size may be off
_SAME = 0.02  # by which the proportions of a resized copy may differ
_ENDS = 1  # pixels that a box may stick out without a word: tools count from 1, or give ends that are not included


class Box(NamedTuple):
    """A box in pixels, columns `x_min` to `x_max` and rows `y_min` to `y_max`, both ends included."""

    x_min: int
    y_min: int
    x_max: int
    y_max: int


class Shares(NamedTuple):
    """A box in shares of the picture: 0 is its left (upper) edge, 1 its right (lower) one."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float

    def in_pixels(self, height: int, width: int) -> Box:
        """The pixels of a picture that the box touches.

        Example:
            >>> Shares(0.25, 0.25, 0.75, 0.75).in_pixels(height=64, width=256)
            Box(x_min=64, y_min=16, x_max=191, y_max=47)
        """
        return Box(
            math.floor(self.x_min * width + _EXACT),
            math.floor(self.y_min * height + _EXACT),
            math.ceil(self.x_max * width - _EXACT) - 1,
            math.ceil(self.y_max * height - _EXACT) - 1,
        )


class Sized(NamedTuple):
    """A box in pixels of a picture whose size is told with it; the file at hand may be a resized copy."""

    box: Box
    height: int
    width: int

    def in_pixels(self, height: int, width: int) -> Box:
        """The pixels of a picture that the box touches.

        Raises:
            ValueError: The picture has other proportions, so that it is another one, or turned; one clause.

        Example:
            >>> Sized(Box(10, 10, 19, 19), height=40, width=80).in_pixels(height=20, width=40)
            Box(x_min=5, y_min=5, x_max=9, y_max=9)
        """
        if (height, width) == (self.height, self.width):
            return self.box
        if abs(height * self.width - width * self.height) > _SAME * width * self.height:
            raise ValueError(
                f"its boxes are of an image of {self.width} x {self.height} pixels, but it has {width} x {height}"
            )
        x_min, y_min, x_max, y_max = self.box
        sides = (x_min / self.width, y_min / self.height, (x_max + 1) / self.width, (y_max + 1) / self.height)
        return Shares(*sides).in_pixels(height, width)


AnyBox = Box | Shares | Sized


def covered(boxes: Sequence[AnyBox], height: int, width: int) -> tuple[Tensor, Box | None]:
    """The union of boxes in a picture, ``(H, W)`` bool, and one of the boxes that reach beyond it, if any does.

    Args:
        boxes: The boxes.
        height: Height of the picture in pixels.
        width: Its width.

    Raises:
        ValueError: A box lies outside the picture; one clause.
    """
    mask = torch.zeros(height, width, dtype=torch.bool)
    beyond = None
    for given in boxes:
        box = given if isinstance(given, Box) else given.in_pixels(height, width)
        top, bottom = max(box.y_min, 0), min(box.y_max + 1, height)
        left, right = max(box.x_min, 0), min(box.x_max + 1, width)
        if top >= bottom or left >= right:
            sides = shown(given if isinstance(given, Shares) else box)
            raise ValueError(f"the box {sides} lies outside the image, which has {width} x {height} pixels")
        mask[top:bottom, left:right] = True
        out = max(-box.x_min, -box.y_min, box.x_max + 1 - width, box.y_max + 1 - height)
        beyond = box if out > _ENDS else beyond
    return mask, beyond


def shown(box: Box | Shares) -> str:
    """The sides of a box as text."""
    return ", ".join(f"{side:g}" for side in box)
