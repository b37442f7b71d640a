"""A map over its picture, and a map in colors, as a picture to look at or to save."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from lit_coiba.data.in_hand import Pictures, pixels_of, recipe_of
from lit_coiba.pictures.maps_in_hand import Maps, check_pairs, maps_of
from lit_coiba.pictures.page import pil_of
from lit_coiba.pictures.painting import painted, painted_over
from lit_coiba.pictures.scale import undefined

SIDE = 224  # pixels of the longer side of a map alone, unless it has more

_GAP = 4  # pixels between the pictures of a batch
_STRETCHED = 1.05  # ratio of the sides of a picture and of its map, from which on they do not fit


def overlay(image: Pictures, map: Maps, model: Any = None) -> Image.Image:
    """A map as heat over its picture in gray, at the picture's size; of a batch, one beside the other.

    Colors go from 0 to the map's own maximum; a map with negative values is red above 0 and blue below; where a map is
    not a number it is hatched. With the model, a file or a PIL picture is resized and cropped to what the model saw:
    that is what the map covers.

    Args:
        image: A file, a PIL picture, an array or a tensor of pixels (bytes, or numbers in [0, 1]; ``(H, W, 3)`` or
            ``(3, H, W)``), model input together with `model`, a batch of these, or a list.
        map: The map ``(h, w)`` at any grid, a batch ``(B, h, w)``, what a method's `explain` returned, or a row of a
            store.
        model: The model that was explained, or its `Preprocessing`.

    Raises:
        InputError: Something else was given, or the numbers of images and maps differ.

    Example:
        >>> overlay(Image.new("RGB", (300, 200)), torch.rand(4, 6)).size
        (300, 200)
    """
    pictures, maps = matched(image, map, model)
    return _in_a_row([painted_over(pixels, values) for pixels, values in zip(pictures, maps)])


def heat(map: Maps) -> Image.Image:
    """A map in colors, as `overlay` draws it, without a picture; of a batch, one beside the other.

    Args:
        map: The map; see `overlay`. It is enlarged to 224 pixels, if it has fewer.

    Raises:
        InputError: Something else was given.
    """
    maps = maps_of(map, "map")
    warn_undefined(maps, stacklevel=3)
    return _in_a_row([painted(values, _enlarged(values)) for values in maps])


def matched(images: Pictures, maps: Maps, model: Any, name: str = "map") -> tuple[list[Tensor], list[Tensor]]:
    """Pictures ``(3, H, W)`` uint8 as the model saw them, and a map ``(h, w)`` of each.

    Raises:
        InputError: Something else was given, or their numbers differ.
    """
    pictures = pixels_of(images, "images", None if model is None else recipe_of(model))
    found = maps_of(maps, name)
    check_pairs(len(pictures), len(found), name)
    warn_undefined(found, stacklevel=4)
    if model is None and any(_stretched(pixels, values) for pixels, values in zip(pictures, found)):
        warnings.warn(
            "a picture and its map have sides of another ratio, so the map is stretched over the whole picture: give"
            " the model too, and the picture is cropped to what the model saw",
            stacklevel=3,
        )
    return pictures, found


def warn_undefined(maps: Sequence[Tensor], stacklevel: int) -> None:
    """Warn of values that are not numbers, at the line of the caller's caller."""
    missing = sum(int(undefined(values).sum()) for values in maps)
    if missing:
        total = sum(values.numel() for values in maps)
        warnings.warn(
            f"{missing} of {total} values of the maps are not finite; they are hatched", stacklevel=stacklevel
        )


def _stretched(pixels: Tensor, values: Tensor) -> bool:
    ratio = pixels.shape[1] / pixels.shape[2] * values.shape[1] / values.shape[0]
    return max(ratio, 1 / ratio) > _STRETCHED


def _enlarged(values: Tensor) -> tuple[int, int]:
    factor = max(1.0, SIDE / max(values.shape))
    return max(1, round(values.shape[0] * factor)), max(1, round(values.shape[1] * factor))


def _in_a_row(pictures: Sequence[Tensor]) -> Image.Image:
    """Pictures ``(3, H, W)`` uint8 side by side on white."""
    height = max(pixels.shape[1] for pixels in pictures)
    row = torch.full((3, height, sum(pixels.shape[2] + _GAP for pixels in pictures) - _GAP), 255, dtype=torch.uint8)
    left = 0
    for pixels in pictures:
        row[:, : pixels.shape[1], left : left + pixels.shape[2]] = pixels
        left += pixels.shape[2] + _GAP
    return pil_of(row)
