"""Many methods on a few images: a line of small pictures for each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.pictures.page import FADED, Page, fitted
from lit_coiba.pictures.painting import painted_over

_SIDE, _GAP, _MARGIN, _NAME, _BETWEEN, _HEADER = 84, 4, 16, 124, 22, 30


def gallery(
    pictures: Sequence[Tensor],
    headings: Sequence[str],
    maps: Mapping[str, Sequence[Tensor | None]],
    file: str | Path,
    columns: int = 2,
) -> Path:
    """Draw a line for each method: its name, and its map over each picture in gray, from 0 to the map's full scale.

    The first line has the pictures themselves. A method that cannot explain the model of a picture leaves a gray field.

    Args:
        pictures: ``(3, H, W)`` uint8 each, as the models saw them.
        headings: Heading of each picture.
        maps: Method -> its map ``(h, w)`` of each picture, or None.
        file: The PNG to write.
        columns: Blocks of lines side by side, each with the pictures on top.

    Returns:
        The file.

    Raises:
        InputError: There is nothing to draw, or a method does not have an entry for each picture.
    """
    if not maps or not pictures or any(len(row) != len(pictures) for row in maps.values()):
        raise InputError("a gallery needs pictures, and of each method a map, or None, for every picture")
    block = _NAME + len(pictures) * (_SIDE + _GAP)
    lines = -(-len(maps) // columns)
    page = Page(
        2 * _MARGIN + columns * block + (columns - 1) * _BETWEEN, _HEADER + (lines + 1) * (_SIDE + _GAP) + _MARGIN
    )
    blank = torch.full((3, _SIDE, _SIDE), 240, dtype=torch.uint8)
    names = list(maps)
    for column in range(columns):
        x = _MARGIN + column * (block + _BETWEEN)
        for place, (picture, heading) in enumerate(zip(pictures, headings)):
            left = x + _NAME + place * (_SIDE + _GAP)
            page.text(left + _SIDE / 2, _HEADER - 10, heading, _SIDE, 8, color=FADED, align="center")
            page.picture(left, _HEADER, fitted(picture, (_SIDE, _SIDE)))
        for line, name in enumerate(names[column * lines : (column + 1) * lines], 1):
            y = _HEADER + line * (_SIDE + _GAP)
            page.text(x, y + _SIDE / 2 + 4, name, _NAME - 8, 8.5, bold=True)
            for place, (picture, values) in enumerate(zip(pictures, maps[name])):
                panel = blank if values is None else fitted(painted_over(picture, values), (_SIDE, _SIDE))
                page.picture(x + _NAME + place * (_SIDE + _GAP), y, panel)
    return page.save(file)
