"""Files of importance maps: gray pictures or arrays of numbers, of the proportions of their images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lit_coiba.core.preprocessing import MAX_PIXELS
from lit_coiba.core.printable import printable
from lit_coiba.data.files.image_file import read_levels
from lit_coiba.files.npy_file import map_array
from lit_coiba.files.regular import clause

ENDINGS = (".png", ".jpg", ".jpeg", ".npy")  # of which each may be in capitals

_SAME = 0.02  # by which the proportions of a map may differ from its image's, beside rounding to whole pixels


def read_map(path: Path, height: int, width: int) -> Tensor:
    """The importance map in a file, float32 ``(height, width)``, 0 or more; one of another resolution is resized.

    Of a PNG or JPEG it is gray levels as shares of white, of an NPY file the numbers as they are.

    Args:
        path: The file.
        height: Rows of the map's image.
        width: Its columns.

    Raises:
        OSError: The file cannot be read, its map has other proportions than the image, or it has values that are
            negative or not finite; one clause names it.
    """
    name = printable(path, 200)
    try:
        values = _numbers(path) if path.suffix.lower() == ".npy" else read_levels(path)
    except OSError as error:
        raise OSError(f"the importance map {name} cannot be read: {clause(error)}") from error
    return fitted(values, height, width, f"the importance map {name}")


def fitted(values: Tensor, height: int, width: int, what: str) -> Tensor:
    """A map at the resolution of its image, float32 ``(height, width)``.

    Args:
        values: The map ``(H, W)``, float32.
        height: Rows of the map's image.
        width: Its columns.
        what: What to call it in an error.

    Raises:
        OSError: It has other proportions than the image, or values that are negative or not finite; one clause.
    """
    rows, columns = values.shape
    if not fits(rows, columns, height, width):
        raise OSError(
            f"{what} has {columns} x {rows} pixels, but its image has {width} x {height}: give a map"
            " of the same proportions"
        )
    low, high = (float(value) for value in values.aminmax())
    if not (low >= 0 and high < float("inf")):  # not true of NaN either
        found = "NaN" if low != low else f"values from {low:.4g} to {high:.4g}"
        raise OSError(f"{what} has {found}: give finite values of 0 or more")
    if (rows, columns) == (height, width):
        return values
    resized = Image.fromarray(values.numpy()).resize((width, height), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(resized))


def fits(rows: int, columns: int, height: int, width: int) -> bool:
    """Whether a map of so many rows and columns may be one of an image, up to rounding to whole pixels.

    Example:
        >>> fits(7, 7, 224, 224), fits(9, 14, 427, 640), fits(7, 7, 427, 640)
        (True, True, False)
    """
    tall, wide = columns * height / width, rows * width / height  # what rows and columns would be
    return min(abs(rows - tall), abs(columns - wide)) < 1 or abs(rows - tall) <= _SAME * rows


def _numbers(path: Path) -> Tensor:
    array = map_array(path, (None, None), "fiub")
    if array.ndim != 2 or not array.size:
        raise OSError(f"its shape is {array.shape}, and a map has rows and columns")
    if array.size > MAX_PIXELS:
        raise OSError(f"it has {array.size:,} values, more than {MAX_PIXELS:,}")
    return torch.from_numpy(np.array(array, dtype=np.float32))
