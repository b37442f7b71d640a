"""Scenes and the variants of their parts -> pixels: with everything, without the parts, and who owns which pixel."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lit_coiba.data.synthetic.classes import PARTS, VARIANTS
from lit_coiba.data.synthetic.drawing import Colours, Floats, Ink, Placement, draw
from lit_coiba.data.synthetic.scene import (
    CLOUD_CELLS,
    FRAME,
    MAX_OBJECTS,
    OUTLINE,
    PATTERNS,
    Background,
    Scenes,
    rotation,
)
from lit_coiba.data.synthetic.shapes import BACKGROUND_SHAPES, BODY, BODY_REACH, VARIANTS_OF, Array

BODY_OWNER = len(PARTS) + 1  # in an owner map: 0 is background, 1 to 5 the parts in their order, 6 the body

_LINE: Array = np.array([[38.0, 34.0, 46.0]])
_FLAT = 214.0  # gray level of what is left when all of the background is removed


class Layers(NamedTuple):
    """Pictures taken apart. Parts do not overlap, so showing any subset of them is a choice between two pictures."""

    full: NDArray[np.uint8]  # (n, 3, H, W) everything
    bare: NDArray[np.uint8]  # (n, 3, H, W) no parts
    owner: NDArray[np.uint8]  # (n, H, W) 0 background, 1 to 5 the part that touches this pixel, 6 body


def render_layers(
    scenes: Scenes,
    variants: NDArray[np.integer],
    size: int,
    without_objects: Collection[int] = (),
    background: bool = True,
) -> Layers:
    """Render scenes.

    Args:
        scenes: Everything but the classes.
        variants: The variant of each part, ``(n, 5)``.
        size: Height and width in pixels.
        without_objects: Background objects to leave out, by number.
        background: Whether to draw the background; False leaves a flat gray without objects instead.
    """
    n = len(variants)
    canvas = _paper(scenes.background, size) if background else np.full((n, 3, size, size), np.float32(_FLAT))
    if background:
        for number in range(MAX_OBJECTS):
            shown = (scenes.objects.number > number) & (number not in without_objects)
            for shape in range(len(BACKGROUND_SHAPES)):
                rows = np.flatnonzero(shown & (scenes.objects.shape[:, number] == shape))
                if len(rows):
                    _object(scenes, rows, number, shape, size).paint(canvas, rows)
    owner = np.zeros((n, size, size), dtype=np.uint8)
    everyone = np.arange(n)
    body = _body(scenes, size)
    body.paint(canvas, everyone)
    body.claim(owner, everyone, BODY_OWNER)
    bare = _levels(canvas)
    for part in range(len(PARTS)):
        for variant in range(VARIANTS):
            rows = np.flatnonzero(variants[:, part] == variant)
            if len(rows):
                ink = _part(scenes, rows, part, variant, size)
                ink.paint(canvas, rows)
                ink.claim(owner, rows, part + 1)
    return Layers(_levels(canvas), bare, owner)


def _levels(canvas: Floats) -> NDArray[np.uint8]:
    return (canvas + 0.5).astype(np.uint8)


def _part(scenes: Scenes, rows: NDArray[np.intp], part: int, variant: int, size: int) -> Ink:
    unit, where = size / FRAME, scenes.parts
    look = VARIANTS_OF[PARTS[part]][variant]
    placement = Placement(
        where.x[rows, part] * unit,
        where.y[rows, part] * unit,
        where.radius[rows, part] * unit,
        rotation(where.turn[rows, part], scenes.mirror[rows]),
    )
    light = where.light[rows, part, None]
    main, accent = (np.minimum(255.0, light * np.array(colour)) for colour in look.colours)
    return draw(look.shape, placement, 1.0, Colours(main, accent, _LINE), OUTLINE * unit, size)


def _body(scenes: Scenes, size: int) -> Ink:
    unit = size / FRAME
    placement = Placement(scenes.x * unit, scenes.y * unit, scenes.scale * unit, rotation(scenes.turn, scenes.mirror))
    colours = Colours(scenes.body, scenes.belly, _LINE)
    return draw(BODY, placement, BODY_REACH, colours, OUTLINE * unit, size)


def _object(scenes: Scenes, rows: NDArray[np.intp], number: int, shape: int, size: int) -> Ink:
    unit, things = size / FRAME, scenes.objects
    placement = Placement(
        things.x[rows, number] * unit,
        things.y[rows, number] * unit,
        things.radius[rows, number] * unit,
        rotation(things.turn[rows, number]),
    )
    colour = things.colour[rows, number]
    colours = Colours(colour, colour, _LINE)
    return draw(BACKGROUND_SHAPES[shape], placement, 1.0, colours, 0.0, size)


def _paper(background: Background, size: int) -> Floats:
    """Backgrounds without their objects, ``(n, 3, H, W)``."""
    x, cell, share = _grid(size)
    cells = background.clouds.astype(np.float32)
    clouds = cells[:, :, cell] + share * (cells[:, :, cell + 1] - cells[:, :, cell])
    clouds = clouds[:, cell] + share[:, None] * (clouds[:, cell + 1] - clouds[:, cell])
    first, second = (colour.astype(np.float32)[:, :, None, None] for colour in (background.first, background.second))
    shade = _plane(background.direction / FRAME, x - 0.5 * FRAME, np.full(len(cells), 0.5))
    shade += 0.35 * clouds
    canvas = (second - first) * shade[:, None]
    canvas += first
    canvas += _tone(background, clouds, x)[:, None]
    return np.clip(canvas, 0.0, 255.0, out=canvas)


def _tone(background: Background, clouds: Floats, x: Array) -> Floats:
    """What the patterns add to each pixel, in gray levels, ``(n, H, W)``."""
    tone = np.empty_like(clouds)
    for number, pattern in enumerate(PATTERNS):
        rows = np.flatnonzero(background.pattern == number)
        frequency, phase = background.frequency[rows], background.phase[rows]
        if pattern == "plain":
            tone[rows] = 10.0 * clouds[rows]
            continue
        along = _plane(frequency, x, phase[:, 0])
        if pattern == "stripes":
            wave = _wave(along)
        elif pattern == "checks":
            across = _plane(frequency[:, ::-1] * (-1.0, 1.0), x, phase[:, 1])
            wave = np.clip(2.5 * _wave(along) * _wave(across), -1.0, 1.0)
        else:
            wave = _wave(along + 0.6 * clouds[rows])
        tone[rows] = background.amplitude[rows, None, None].astype(np.float32) * wave
    return tone


def _plane(slope: Array, at: Array, offset: Array) -> Floats:
    """``offset + slope @ (x, y)``: ``(n, 2)`` and ``(n,)``, at places ``(size,)`` -> ``(n, size, size)``."""
    across = (offset[:, None] + slope[:, :1] * at).astype(np.float32)
    return across[:, None, :] + (slope[:, 1:] * at).astype(np.float32)[:, :, None]


def _wave(cycles: Floats) -> Floats:
    """Triangle wave of period 1 between -1 and 1: unlike a sine, the same to the last bit on every machine."""
    return np.abs(4.0 * (cycles - np.floor(cycles)) - 2.0) - 1.0


@lru_cache(maxsize=8)
def _grid(size: int) -> tuple[Array, NDArray[np.intp], Floats]:
    """Pixel centers in scene units, and the cell of the clouds' grid and the place in it, each ``(size,)``."""
    x: Array = (np.arange(size) + 0.5) * (FRAME / size)
    at = x / FRAME * (CLOUD_CELLS - 1)
    cell = np.minimum(at.astype(np.intp), CLOUD_CELLS - 2)
    return x, cell, (at - cell).astype(np.float32)
