"""What SyntheticParts draws: shapes as unions of convex polygons and ellipses in the unit disc, and their colors.

In a shape's own frame x points to the object's head and y down. Every part lies within the unit disc of its slot, so
that disjoint slots make disjoint parts, whatever the variants.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Colour = tuple[int, int, int]
Point = tuple[float, float]


class Polygon(NamedTuple):
    """A convex polygon as half-planes: (x, y) is inside where ``nx * x + ny * y <= offset`` for every edge."""

    nx: list[float]  # outward normals of unit length
    ny: list[float]
    offset: list[float]


class Ellipse(NamedTuple):
    """An upright ellipse."""

    x: float
    y: float
    rx: float
    ry: float


Piece = Polygon | Ellipse


class Shape(NamedTuple):
    """Pieces of the shape's own color and, painted over them, pieces of an accent color."""

    main: tuple[Piece, ...]
    accent: tuple[Piece, ...] = ()


class Variant(NamedTuple):
    """One look of a part."""

    name: str
    shape: Shape
    colour: Colour
    accent: Colour = (0, 0, 0)

    @property
    def colours(self) -> tuple[Colour, Colour]:
        """Colour of the shape and of its accent."""
        return self.colour, self.accent


class Slot(NamedTuple):
    """Where a part sits: a disc in the object's frame, in pixels of a 64x64 image at scale 1."""

    x: float
    y: float
    radius: float


def polygon(*points: Point) -> Polygon:
    """The convex polygon with these vertices, in order, either way round."""
    vertices = np.array(points, dtype=np.float64)
    edges = np.roll(vertices, -1, axis=0) - vertices
    normals = np.stack([edges[:, 1], -edges[:, 0]], axis=1) / np.hypot(edges[:, 0], edges[:, 1])[:, None]
    offsets = (normals * vertices).sum(1)
    outward = 1.0 if (normals @ vertices.mean(0) <= offsets).all() else -1.0
    return Polygon(*((outward * values).tolist() for values in (normals[:, 0], normals[:, 1], offsets)))


def disc(x: float, y: float, radius: float) -> Ellipse:
    """A circle."""
    return Ellipse(x, y, radius, radius)


def bar(start: Point, end: Point, width: float) -> Polygon:
    """A straight bar between two points."""
    (x0, y0), (x1, y1) = start, end
    half = 0.5 * width / math.hypot(x1 - x0, y1 - y0)
    nx, ny = (y1 - y0) * half, (x0 - x1) * half
    return polygon((x0 + nx, y0 + ny), (x1 + nx, y1 + ny), (x1 - nx, y1 - ny), (x0 - nx, y0 - ny))


def box(x0: float, y0: float, x1: float, y1: float) -> Polygon:
    """An upright rectangle."""
    return polygon((x0, y0), (x1, y0), (x1, y1), (x0, y1))


_DARK: Colour = (38, 34, 46)
_LIGHT: Colour = (250, 248, 240)
_RED: Colour = (222, 48, 48)
_ORANGE: Colour = (245, 132, 32)
_YELLOW: Colour = (250, 208, 40)
_GREEN: Colour = (46, 160, 67)
_TEAL: Colour = (22, 160, 150)
_CYAN: Colour = (70, 205, 235)
_BLUE: Colour = (40, 96, 214)
_PURPLE: Colour = (128, 58, 190)
_PINK: Colour = (240, 86, 160)

SATURATED = (_RED, _ORANGE, _YELLOW, _GREEN, _TEAL, _CYAN, _BLUE, _PURPLE, _PINK)

BODY = Shape(main=(Ellipse(-3, 4, 15, 11.5), disc(10, -8.5, 9)), accent=(Ellipse(-3, 8.5, 11, 5.5),))
BODY_REACH = 23.5  # radius of a disc about the body's center that contains it
BODY_EXTENT = (Slot(-10, 4, 11), Slot(3, 4, 11.5), Slot(10, -8.5, 9))  # discs that cover the body

SLOTS = {
    "beak": Slot(24.4, -7.5, 6.2),
    "eye": Slot(9.6, -9.2, 4.5),
    "foot": Slot(-2.0, 21.8, 6.4),
    "tail": Slot(-23.2, 1.0, 7.7),
    "wing": Slot(-4.0, 4.0, 7.4),
}

VARIANTS_OF = {
    "beak": (
        Variant("cone", Shape((polygon((-0.85, -0.5), (-0.85, 0.5), (0.98, 0.1)),)), _YELLOW),
        Variant(
            "hook",
            Shape(
                (
                    polygon((-0.85, -0.5), (0.3, -0.6), (0.85, -0.1), (0.8, 0.2), (-0.85, 0.3)),
                    polygon((0.2, 0.0), (0.85, -0.1), (0.65, 0.75)),
                )
            ),
            _RED,
        ),
        Variant("block", Shape((box(-0.8, -0.55, 0.7, 0.55),), (box(-0.1, -0.55, 0.25, 0.55),)), _BLUE, _LIGHT),
        Variant(
            "open",
            Shape(
                (polygon((-0.85, -0.5), (0.8, -0.58), (-0.85, 0.0)), polygon((-0.85, 0.0), (0.8, 0.58), (-0.85, 0.5)))
            ),
            _GREEN,
        ),
    ),
    "eye": (
        Variant("round", Shape((disc(0, 0, 0.98),), (disc(0, 0, 0.48),)), _LIGHT, _DARK),
        Variant("diamond", Shape((polygon((1, 0), (0, 1), (-1, 0), (0, -1)),), (disc(0, 0, 0.3),)), _YELLOW, _DARK),
        Variant("slit", Shape((Ellipse(0, 0, 0.98, 0.68),), (box(-0.18, -0.6, 0.18, 0.6),)), _CYAN, _DARK),
        Variant("square", Shape((box(-0.7, -0.7, 0.7, 0.7),), (box(-0.28, -0.28, 0.28, 0.28),)), _PINK, _LIGHT),
    ),
    "foot": (
        Variant(
            "webbed",
            Shape((polygon((-0.4, -0.9), (-0.85, 0.5), (0.0, 0.5)), polygon((0.4, -0.9), (0.0, 0.5), (0.85, 0.5)))),
            _ORANGE,
        ),
        Variant("boot", Shape((box(-0.35, -0.92, 0.25, 0.5), box(-0.35, 0.1, 0.8, 0.58))), _PURPLE),
        Variant(
            "wheel",
            Shape((disc(0, 0.2, 0.78), box(-0.22, -0.95, 0.22, 0.0)), (disc(0, 0.2, 0.34),)),
            _BLUE,
            _LIGHT,
        ),
        Variant(
            "claw",
            Shape(
                (
                    bar((0, -0.85), (0, 0.95), 0.3),
                    bar((0, -0.5), (-0.75, 0.5), 0.3),
                    bar((0, -0.5), (0.75, 0.5), 0.3),
                )
            ),
            _GREEN,
        ),
    ),
    "tail": (
        Variant(
            "fan",
            Shape(
                (polygon((0.95, -0.15), (0.95, 0.15), (-0.6, 0.75), (-0.6, -0.75)),),
                (polygon((-0.2, -0.6), (-0.2, 0.6), (-0.36, 0.65), (-0.36, -0.65)),),
            ),
            _RED,
            _LIGHT,
        ),
        Variant(
            "feathers",
            Shape(
                (
                    bar((0.85, 0), (-0.65, -0.68), 0.28),
                    bar((0.95, 0), (-0.97, 0), 0.28),
                    bar((0.85, 0), (-0.65, 0.68), 0.28),
                )
            ),
            _BLUE,
        ),
        Variant(
            "paddle",
            Shape((box(-0.2, -0.17, 0.95, 0.17), disc(-0.32, 0, 0.66)), (disc(-0.32, 0, 0.26),)),
            _GREEN,
            _YELLOW,
        ),
        Variant("hammer", Shape((box(-0.5, -0.17, 0.95, 0.17), box(-0.62, -0.75, -0.12, 0.75))), _YELLOW),
    ),
    "wing": (
        Variant("leaf", Shape((Ellipse(0, 0, 0.98, 0.62),), (box(-0.7, -0.09, 0.6, 0.09),)), _ORANGE, _DARK),
        Variant("delta", Shape((polygon((0.85, -0.5), (-0.85, -0.5), (-0.25, 0.95)),)), _TEAL),
        Variant(
            "stripes",
            Shape((box(-0.78, -0.6, 0.78, 0.6),), (box(-0.42, -0.6, -0.16, 0.6), box(0.16, -0.6, 0.42, 0.6))),
            _PURPLE,
            _LIGHT,
        ),
        Variant("cloud", Shape((disc(-0.45, 0.15, 0.52), disc(0.45, 0.15, 0.52), disc(0, -0.3, 0.6))), _RED),
    ),
}

BACKGROUND_SHAPES = (
    Shape((box(-0.95, -0.3, 0.95, 0.3), box(-0.3, -0.95, 0.3, 0.95))),  # plus
    Shape((polygon((-0.7, -0.7), (0.7, -0.7), (0, 0.1)), polygon((-0.7, 0.7), (0.7, 0.7), (0, -0.1)))),  # hourglass
    Shape((box(-0.7, -0.7, -0.2, 0.7), box(-0.7, 0.2, 0.7, 0.7))),  # corner
    Shape((box(-0.7, -0.7, 0.7, -0.3), box(-0.7, 0.3, 0.7, 0.7), box(-0.7, -0.3, -0.3, 0.3), box(0.3, -0.3, 0.7, 0.3))),
    Shape((disc(-0.45, -0.35, 0.42), disc(0.48, -0.3, 0.4), disc(0, 0.5, 0.45))),  # pebbles
)
