"""Everything about SyntheticParts pictures but the class: pose, colors, background, as a function of (seed, index).

Lengths are pixels of a 64x64 picture; other sizes show the same scene. A scene is sampled without looking at the label,
so nothing in it but the parts can tell the class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lit_coiba.data.synthetic.classes import PARTS
from lit_coiba.data.synthetic.shapes import BACKGROUND_SHAPES, BODY_EXTENT, SATURATED, SLOTS, Array

FRAME = 64.0  # width and height in scene units
OUTLINE = 0.7  # width of the line around the body and the parts
MIN_SCALE, MAX_SCALE = 0.84, 0.96
MAX_OBJECTS = 4
CLOUD_CELLS = 6  # the background's clouds are given on a grid of so many values a side
PATTERNS = ("plain", "stripes", "checks", "waves")

_MAX_TURN = np.deg2rad(18)
_MAX_PART_TURN = np.deg2rad(9)
_CANDIDATES = 8  # places tried for each background object
_DRAWS = 256  # uniform numbers for one scene; each has a fixed place, so changing one thing moves nothing else


class Parts(NamedTuple):
    """How the parts sit in their slots, whatever their variants; parts in the order of `PARTS`."""

    x: Array  # (n, 5) center of the slot
    y: Array  # (n, 5)
    radius: Array  # (n, 5)
    turn: Array  # (n, 5) radians
    light: Array  # (n, 5) factor on the colors


class Objects(NamedTuple):
    """Things that lie behind the object and say nothing about its class."""

    number: NDArray[np.intp]  # (n,) how many of them there are
    x: Array  # (n, MAX_OBJECTS)
    y: Array
    radius: Array
    turn: Array
    shape: NDArray[np.intp]  # (n, MAX_OBJECTS) index into BACKGROUND_SHAPES
    colour: Array  # (n, MAX_OBJECTS, 3)


class Background(NamedTuple):
    """Two colors that shade into each other, with clouds and a pattern."""

    first: Array  # (n, 3)
    second: Array  # (n, 3)
    direction: Array  # (n, 2) unit vector x, y along which the colors change
    clouds: Array  # (n, CLOUD_CELLS, CLOUD_CELLS), -1 to 1
    pattern: NDArray[np.intp]  # (n,) index into PATTERNS
    frequency: Array  # (n, 2) cycles per unit along x and y
    phase: Array  # (n, 2)
    amplitude: Array  # (n,) of the pattern, in gray levels


class Scenes(NamedTuple):
    """Some pictures, without their classes."""

    x: Array  # (n,) center of the object
    y: Array  # (n,)
    scale: Array  # (n,)
    turn: Array  # (n,) radians
    mirror: NDArray[np.bool_]  # (n,) looks to the left
    body: Array  # (n, 3) color
    belly: Array  # (n, 3) color
    parts: Parts
    objects: Objects
    background: Background


def rotation(turn: Array, mirror: NDArray[np.bool_] | None = None) -> Array:
    """Orthogonal matrices ``(4, n)``, row-major, that swap left and right where `mirror`, then turn."""
    cos, sin = np.cos(turn), np.sin(turn)
    sign = 1.0 if mirror is None else np.where(mirror, -1.0, 1.0)
    return np.stack([sign * cos, -sin, sign * sin, cos])


def sample_scenes(seed: int, indices: Sequence[int]) -> Scenes:
    """The scenes of these samples: each the same on every machine, whichever others are asked for.

    Example:
        >>> bool(sample_scenes(0, [7]).x == sample_scenes(0, [3, 7]).x[1])
        True
    """
    u = np.stack([np.random.Generator(np.random.PCG64([seed, int(i)])).random(_DRAWS) for i in indices])
    mirror = u[:, 0] < 0.5
    turn = (2 * u[:, 1] - 1) * _MAX_TURN
    scale = MIN_SCALE + (MAX_SCALE - MIN_SCALE) * u[:, 2]
    a, b, c, d = rotation(turn, mirror)[:, :, None]
    slots = np.array([*SLOTS.values(), *BODY_EXTENT])
    x = scale[:, None] * (a * slots[:, 0] + b * slots[:, 1])
    y = scale[:, None] * (c * slots[:, 0] + d * slots[:, 1])
    radius = scale[:, None] * slots[:, 2]
    centre_x, centre_y = _position(x, radius, u[:, 3]), _position(y, radius, u[:, 4])
    x, y = x + centre_x[:, None], y + centre_y[:, None]
    n = len(PARTS)
    parts = Parts(
        x[:, :n],
        y[:, :n],
        radius[:, :n] * (0.95 + 0.05 * u[:, 10:15]),
        turn[:, None] + (2 * u[:, 15:20] - 1) * _MAX_PART_TURN,
        0.88 + 0.16 * u[:, 20:25],
    )
    saturation, value = 0.04 + 0.22 * u[:, 6], 0.55 + 0.3 * u[:, 7]
    return Scenes(
        centre_x,
        centre_y,
        scale,
        turn,
        mirror,
        _rgb(u[:, 5], saturation, value),
        _rgb(u[:, 5], 0.6 * saturation, np.minimum(1.0, value + 0.14)),
        parts,
        _objects(u[:, 40:150], np.stack([x, y, radius + OUTLINE], axis=-1)),
        _background(u[:, 150:]),
    )


def _position(centres: Array, radii: Array, draw: Array) -> Array:
    """A place ``(n,)`` for the object along one axis, with all discs ``(n, D)`` and their lines in the frame."""
    margin = OUTLINE + 1.0
    low = margin - (centres - radii).min(1)
    high = FRAME - margin - (centres + radii).max(1)
    return low + (high - low) * draw


def _objects(u: Array, discs: Array) -> Objects:
    """Background objects, each at the first of some random places free of all discs ``(n, D, 3)``, else the freest."""
    n = len(u)
    radius = 3.6 + 2.2 * u[:, 1:5]
    places = 3.0 + (FRAME - 6.0) * u[:, 30 : 30 + 2 * _CANDIDATES * MAX_OBJECTS].reshape(n, MAX_OBJECTS, _CANDIDATES, 2)
    chosen = np.empty((n, MAX_OBJECTS, 2))
    for i in range(MAX_OBJECTS):
        offsets = places[:, i, :, None] - discs[:, None, :, :2]
        room = (np.sqrt((offsets * offsets).sum(-1)) - discs[:, None, :, 2]).min(-1) - radius[:, i, None]
        pick = np.where((room >= 0).any(1), (room >= 0).argmax(1), room.argmax(1))
        chosen[:, i] = places[np.arange(n), i, pick]
        discs = np.concatenate([discs, np.concatenate([chosen[:, i], radius[:, i, None]], axis=1)[:, None]], axis=1)
    own = _rgb(u[:, 5:9], 0.35 + 0.3 * u[:, 9:13], 0.5 + 0.4 * u[:, 13:17])
    shared = np.array(SATURATED, dtype=np.float64)[(u[:, 17:21] * len(SATURATED)).astype(np.intp)]
    return Objects(
        2 + (u[:, 0] * (MAX_OBJECTS - 1)).astype(np.intp),
        chosen[..., 0],
        chosen[..., 1],
        radius,
        2 * np.pi * u[:, 25:29],
        (u[:, 21:25] * len(BACKGROUND_SHAPES)).astype(np.intp),
        np.where(u[:, 29, None, None] < 0.5, own, shared),
    )


def _background(u: Array) -> Background:
    angle, along = 2 * np.pi * u[:, 5], np.pi * u[:, 6]
    cycles = 1.0 / (6.0 + 8.0 * u[:, 8])
    return Background(
        _rgb(u[:, 0], 0.08 + 0.27 * u[:, 1], 0.62 + 0.34 * u[:, 2]),
        _rgb((u[:, 0] + 0.16 * (u[:, 3] - 0.5)) % 1.0, 0.08 + 0.27 * u[:, 4], 0.62 + 0.34 * u[:, 7]),
        np.stack([np.cos(angle), np.sin(angle)], axis=1),
        2.0 * u[:, 20 : 20 + CLOUD_CELLS**2].reshape(-1, CLOUD_CELLS, CLOUD_CELLS) - 1.0,
        (u[:, 9] * len(PATTERNS)).astype(np.intp),
        cycles[:, None] * np.stack([np.cos(along), np.sin(along)], axis=1),
        u[:, 10:12],
        5.0 + 8.0 * u[:, 12],
    )


def _rgb(hue: Array, saturation: Array, value: Array) -> Array:
    """Colours ``(..., 3)`` in 0 to 255 from hue, saturation and value in 0 to 1, each ``(...)``."""
    sector = (hue[..., None] * 6.0 + np.array([5.0, 3.0, 1.0])) % 6.0
    share = np.clip(np.minimum(sector, 4.0 - sector), 0.0, 1.0)
    return 255.0 * value[..., None] * (1.0 - saturation[..., None] * share)
