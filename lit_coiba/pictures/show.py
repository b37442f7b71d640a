"""Images and their maps side by side, for a notebook, a slide or a file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from torch import Tensor

from lit_coiba.core.errors import InputError, check_count
from lit_coiba.data.in_hand import Pictures
from lit_coiba.files.atomic import atomically
from lit_coiba.pictures.maps_in_hand import Maps, unit_of
from lit_coiba.pictures.numbers import spoken
from lit_coiba.pictures.overlay import matched
from lit_coiba.pictures.page import FADED, Page, fitted, pil_of
from lit_coiba.pictures.painting import painted, painted_over
from lit_coiba.pictures.scale import Scale, undefined

OWN = "Each map is colored up to its own maximum: brightness does not compare between maps."
COMMON = "All maps have one scale: equal colors stand for equal values."
HATCHED = "Hatched: not a number."

_SIDE, _GAP, _MARGIN, _HEADER, _CAPTION, _SCALES, _FOOTER = 200, 8, 16, 30, 38, 22, 24


class _Panel(NamedTuple):
    heading: str
    maps: list[Tensor] | None  # None = the image itself
    scales: list[Scale]
    unit: str = ""
    over: bool = True  # the picture, or colors alone


def show(
    images: Pictures,
    maps: Maps | Mapping[str, Maps],
    model: Any = None,
    titles: Sequence[str] | None = None,
    common_scale: bool = False,
    columns: int = 1,
) -> Image.Image:
    """Images and their maps in a grid: a row for each image, with the scale of each map below it.

    A notebook displays the picture by itself; elsewhere, `save` it, or open it by its own ``show()``.

    Args:
        images: See `overlay`.
        maps: A map for each image, see `overlay`; or several of them, by name: ``{"CoIBA": ..., "IBA": ...}``.
        model: The model that was explained, or its `Preprocessing`.
        titles: A line for each image.
        common_scale: Whether maps of one name are drawn on one scale; otherwise each has its own.
        columns: Number of images side by side.

    Raises:
        InputError: Something else was given, or the numbers of images, maps and titles differ.

    Example:
        >>> import torch
        >>> show(torch.rand(2, 3, 64, 64), {"first": torch.rand(2, 8, 8), "second": torch.rand(2, 4, 4)}).size
        (648, 514)
    """
    check_count(columns=columns)
    named = maps if isinstance(maps, Mapping) else {"": maps}
    if not named:
        raise InputError("maps is empty: give maps of the images, or several by name")
    pictures: list[Tensor] = []
    panels = [_Panel("image", None, [])]
    for name, given in named.items():
        pictures, found = matched(images, given, model, f"maps[{name!r}]" if name else "maps")
        common = Scale.common(found)
        scales = [common] * len(found) if common_scale else [Scale.of(values) for values in found]
        if not name:
            panels.append(_Panel("map", found, scales, unit_of(given), over=False))
        panels.append(_Panel(str(name) or "overlay", found, scales, unit_of(given)))
    if titles is not None and (isinstance(titles, str) or len(titles) != len(pictures)):
        raise InputError(f"titles has {len(titles)} entries for {len(pictures)} images: give a list of one line each")
    hatched = any(bool(undefined(values).any()) for panel in panels for values in panel.maps or ())
    note = f"{COMMON if common_scale else OWN}{f' {HATCHED}' * hatched}"
    return _grid(pictures, panels, titles or [""] * len(pictures), columns, note)


def save(picture: Image.Image, file: str | os.PathLike[str]) -> Path:
    """Write a picture as a PNG, whole or not at all; its folder is made.

    Args:
        picture: What `show`, `overlay` or `heat` returned.
        file: The file, ``.png``.

    Raises:
        InputError: It is no picture, or the file cannot be written.
    """
    if not isinstance(picture, Image.Image):
        raise InputError(f"picture is of type {type(picture).__name__}: give what show, overlay or heat returned")
    if not isinstance(file, (str, os.PathLike)):
        raise InputError(f"file is of type {type(file).__name__}: give the name of a file, .png")
    path = Path(file)
    if path.suffix.lower() != ".png":
        raise InputError(f"file is {path.name!r}: pictures are written as PNG, so give a name that ends in .png")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomically(path) as out:
            picture.save(out, "PNG")
    except OSError as error:
        raise InputError(f"file {path} cannot be written ({error.strerror or error}): choose another place") from error
    return path


def _grid(pictures: list[Tensor], panels: list[_Panel], titles: Sequence[str], columns: int, note: str) -> Image.Image:
    columns = min(columns, len(pictures))
    step = _SIDE + _GAP
    block, row = len(panels) * step - _GAP, _SIDE + (_CAPTION if any(titles) else _SCALES)
    lines = -(-len(pictures) // columns)
    page = Page(columns * (block + _MARGIN) + _MARGIN, _HEADER + lines * row + _FOOTER + 16)
    for number, (pixels, title) in enumerate(zip(pictures, titles)):
        x, y = _MARGIN + number % columns * (block + _MARGIN), _HEADER + number // columns * row
        page.text(x, y + _SIDE + 28, str(title), block, bold=True)
        for place, panel in enumerate(panels):
            left = x + place * step
            if number < columns:
                page.text(left + _SIDE / 2, 20, panel.heading, _SIDE, 10, bold=True, align="center")
            _draw(page, panel, number, pixels, left, y)
    page.text(_MARGIN, page.height - 14, note, page.width - 2 * _MARGIN, 8.5, FADED)
    return pil_of(page.pixels())


def _draw(page: Page, panel: _Panel, number: int, pixels: Tensor, x: int, y: int) -> None:
    """One panel, as large as fits in its place, and the scale of its map below."""
    longer = max(pixels.shape[1:])
    height, width = (max(1, round(_SIDE * side / longer)) for side in pixels.shape[1:])
    below = fitted(pixels, (height, width)) if longer < _SIDE else pixels  # a small one first, for smooth heat
    if panel.maps is not None:
        values, scale = panel.maps[number], panel.scales[number]
        size = (below.shape[1], below.shape[2])
        below = painted_over(below, values, scale) if panel.over else painted(values, size, scale)
        page.text(x + _SIDE / 2, y + _SIDE + 12, spoken(scale, panel.unit), _SIDE, 8, FADED, align="center")
    page.picture(x + (_SIDE - width) // 2, y + (_SIDE - height) // 2, fitted(below, (height, width)))
