"""Where a cell of the feature grid lies in the picture, and what is cut out of it."""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

CONTEXT = 3  # sides of a crop in cells: the cell and what is around it
_QUALITY = 92  # of JPEG
_LARGEST = 4096  # pixels, of a side of a crop that is read


class Box(NamedTuple):
    """A rectangle in pixels of the model's input; left and top belong to it, right and bottom do not."""

    top: int
    left: int
    bottom: int
    right: int


def cell_box(cell: int, grid: tuple[int, int], size: tuple[int, int]) -> Box:
    """The rectangle of a cell, row-major, of a grid over a picture; both as (height, width).

    Example:
        >>> cell_box(8, (7, 7), (224, 224))
        Box(top=32, left=32, bottom=64, right=64)
    """
    row, column = divmod(cell, grid[1])
    (top, bottom), (left, right) = (
        (round(place * side / count), round((place + 1) * side / count))
        for place, side, count in ((row, size[0], grid[0]), (column, size[1], grid[1]))
    )
    return Box(top, left, bottom, right)


def around(box: Box, size: tuple[int, int], context: int = CONTEXT) -> Box:
    """A window around a box, `context` times as high and wide where the picture is large enough, inside of it.

    Example:
        >>> around(Box(0, 32, 32, 64), (224, 224))
        Box(top=0, left=0, bottom=96, right=96)
    """
    (top, bottom), (left, right) = (
        _window(low, high, side, context)
        for low, high, side in ((box.top, box.bottom, size[0]), (box.left, box.right, size[1]))
    )
    return Box(top, left, bottom, right)


def cut(pixels: Tensor, box: Box) -> Tensor:
    """A rectangle of a picture ``(3, H, W)``."""
    return pixels[:, box.top : box.bottom, box.left : box.right]


def encode(pixels: Tensor) -> bytes:
    """A picture ``(3, h, w)`` uint8 as a JPEG."""
    out = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()).save(out, "JPEG", quality=_QUALITY, subsampling=0)
    return out.getvalue()


def decode(content: bytes) -> Tensor:
    """The picture that `encode` wrote.

    Raises:
        OSError: It is none, or far too large for one.
    """
    try:
        return _decoded(content)
    except Image.DecompressionBombError as error:
        raise OSError(str(error)) from error


def _decoded(content: bytes) -> Tensor:
    with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
        if max(image.size) > _LARGEST:
            raise OSError(f"a crop has {image.width} x {image.height} pixels")
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def _window(low: int, high: int, side: int, context: int) -> tuple[int, int]:
    length = min(side, context * (high - low))
    start = min(max(0, (low + high - length) // 2), side - length)
    return start, start + length
