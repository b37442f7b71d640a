"""Several methods side by side on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.pictures.page import FADED, Page, fitted
from lit_coiba.pictures.painting import painted_over

_SIDE, _GAP, _MARGIN, _CAPTION, _HEADER = 150, 6, 20, 34, 38


@dataclass(frozen=True)
class Comparison:
    """One image and what the methods say about it."""

    pixels: Tensor  # (3, H, W) uint8, as the model saw it
    title: str
    subtitle: str
    maps: dict[str, Tensor]  # method -> (h, w)


def comparison(examples: Sequence[Comparison], file: str | Path, columns: int = 1) -> Path:
    """Draw images in rows: the image, then its map by each method over the gray image, from 0 to its full scale.

    Args:
        examples: Examples to draw; all have maps of the same methods.
        file: The PNG to write.
        columns: Examples side by side.

    Returns:
        The file.

    Raises:
        InputError: There is nothing to draw, or the methods differ.
    """
    methods = list(examples[0].maps) if examples else []
    if any(list(example.maps) != methods for example in examples) or not methods:
        raise InputError("a comparison needs examples, each with maps of the same methods in the same order")
    step, block = _SIDE + _GAP, (1 + len(methods)) * (_SIDE + _GAP) - _GAP
    rows = -(-len(examples) // columns)
    page = Page(2 * _MARGIN + columns * (block + _MARGIN) - _MARGIN, _HEADER + rows * (_SIDE + _CAPTION) + _MARGIN - 10)
    for column in range(min(columns, len(examples))):
        x = _MARGIN + column * (block + _MARGIN)
        for place, name in enumerate(["image", *methods]):
            page.text(x + place * step + _SIDE / 2, 26, name, _SIDE, 11, bold=True, align="center")
    for number, example in enumerate(examples):
        x = _MARGIN + number % columns * (block + _MARGIN)
        y = _HEADER + number // columns * (_SIDE + _CAPTION)
        pixels = fitted(example.pixels, (_SIDE, _SIDE)) if example.pixels.shape[1] < _SIDE else example.pixels
        for place, panel in enumerate([pixels, *(painted_over(pixels, values) for values in example.maps.values())]):
            page.picture(x + place * step, y, fitted(panel, (_SIDE, _SIDE)))
        named = page.text(x, y + _SIDE + 16, example.title, block, bold=True)
        page.text(x + named + 10, y + _SIDE + 16, example.subtitle, block - named - 10, color=FADED)
    return page.save(file)
