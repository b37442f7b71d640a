"""Drawing shapes without jagged edges: the share of a pixel that a shape covers, from its distance to the shape's edge.

One shape is drawn into many pictures at once, using only sums, products, quotients, square roots and comparisons of
float32, pixel by pixel: a picture depends neither on the machine nor on which others are drawn with it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lit_coiba.data.synthetic.shapes import Array, Ellipse, Piece, Polygon, Shape

Floats = NDArray[np.floating]  # float32 in fact, which the type of a sum with a number does not show

_TINY = 1e-9  # keeps the center of an ellipse, where radial coordinate and slope are both 0, inside it


class Placement(NamedTuple):
    """Where a shape goes in each of n pictures: ``p = center + scale * rotation @ q`` takes its frame into pixels."""

    x: Array  # (n,) center in pixels
    y: Array  # (n,)
    scale: Array  # (n,) pixels for one unit of the shape's frame
    rotation: Array  # (4, n) orthogonal 2x2 matrix, row-major; a mirror image has determinant -1


class Colours(NamedTuple):
    """Colours of a shape, of its accent and of the line around it, each ``(n or 1, 3)``, 0 to 255."""

    main: Array
    accent: Array
    line: Array


class Ink(NamedTuple):
    """A shape ready to be painted: a window in each picture, the color there, and how much of a pixel is covered."""

    top: NDArray[np.intp]  # (n,)
    left: NDArray[np.intp]  # (n,)
    colour: Floats  # (n, 3, side, side), 0 to 255
    coverage: Floats  # (n, side, side), 0 to 1

    def paint(self, pictures: Floats, rows: NDArray[np.intp]) -> None:
        """Paint over these n of the `pictures` ``(N, 3, H, W)``, in place."""
        windows = np.moveaxis(self._windows(pictures), (2, 3), (1, 2))
        under = windows[rows, self.top, self.left]
        change = self.colour - under
        change *= self.coverage[:, None]
        change += under
        windows[rows, self.top, self.left] = change

    def claim(self, owners: NDArray[np.uint8], rows: NDArray[np.intp], number: int) -> None:
        """Write `number` into these n of the `owners` ``(N, H, W)`` wherever the shape touches a pixel, in place."""
        windows = self._windows(owners)
        under = windows[rows, self.top, self.left]
        under[self.coverage > 0] = number
        windows[rows, self.top, self.left] = under

    def _windows(self, pictures: NDArray) -> NDArray:
        side = self.coverage.shape[-1]
        return np.lib.stride_tricks.sliding_window_view(pictures, (side, side), axis=(-2, -1), writeable=True)


def draw(shape: Shape, placement: Placement, radius: float, colours: Colours, outline: float, size: int) -> Ink:
    """Draw a shape.

    No pixel is touched whose center is farther than half a pixel from the disc about the shape and its line.

    Args:
        shape: Shape to draw.
        placement: Placement of the shape in n pictures.
        radius: Radius of a disc about the center of the shape's frame that contains the shape, in the frame's units.
        colours: Its colors.
        outline: Width of the outline in pixels; 0 = none.
        size: Height and width of the pictures in pixels.
    """
    reach = radius * float(placement.scale.max()) + outline + 0.5
    side = min(size, math.ceil(2 * reach) + 1)
    left, top = (np.clip(np.floor(c - reach), 0, size - side).astype(np.intp) for c in (placement.x, placement.y))
    span = np.arange(side) + 0.5
    x = (left[:, None] + span - placement.x[:, None]).astype(np.float32)
    y = (top[:, None] + span - placement.y[:, None]).astype(np.float32)
    pose = _Pose(placement.scale.astype(np.float32)[:, None], *placement.rotation.astype(np.float32)[:, :, None])
    main, accent, line = (colour.astype(np.float32)[:, :, None, None] for colour in colours)
    # a line drawn along two edges runs out in a spike where they meet at a sharp angle: the disc cuts it off
    rim = pose.scale[:, None] * radius - np.sqrt((x * x)[:, None] + (y * y)[:, :, None])
    depth = np.minimum(_depth(shape.main, pose, x, y), rim)
    colour = np.broadcast_to(main, (len(x), 3, side, side))
    if outline:
        colour = _share(depth)[:, None] * (main - line)
        colour += line
    if shape.accent:
        change = accent - colour
        change *= _share(np.minimum(_depth(shape.accent, pose, x, y), depth))[:, None]
        colour = colour + change
    return Ink(top, left, colour, _share(depth + outline if outline else depth))


class _Pose(NamedTuple):
    """Scale and rotation matrix in every picture, each ``(n, 1)``."""

    scale: Floats
    a: Floats
    b: Floats
    c: Floats
    d: Floats


def _depth(pieces: tuple[Piece, ...], pose: _Pose, x: Floats, y: Floats) -> Floats:
    """Signed distance ``(n, side, side)`` in pixels from the edge of a union of pieces, positive inside."""
    depth, *others = (
        _polygon(piece, pose, x, y) if isinstance(piece, Polygon) else _ellipse(piece, pose, x, y) for piece in pieces
    )
    for other in others:
        np.maximum(depth, other, out=depth)
    return depth


def _polygon(piece: Polygon, pose: _Pose, x: Floats, y: Floats) -> Floats:
    """Distance from the nearest edge."""
    depth, *others = (
        (pose.scale * offset - (pose.c * nx + pose.d * ny) * y)[:, :, None] - ((pose.a * nx + pose.b * ny) * x)[:, None]
        for nx, ny, offset in zip(*piece)
    )
    for other in others:
        np.minimum(depth, other, out=depth)
    return depth


def _ellipse(piece: Ellipse, pose: _Pose, x: Floats, y: Floats) -> Floats:
    """Distance to first order: how far the ellipse's own radial coordinate is from 1, over its slope."""
    rx, ry = pose.scale * piece.rx, pose.scale * piece.ry
    u = (pose.a / rx * x - piece.x / piece.rx)[:, None] + (pose.c / rx * y)[:, :, None]
    v = (pose.b / ry * x - piece.y / piece.ry)[:, None] + (pose.d / ry * y)[:, :, None]
    u *= u
    v *= v
    radial = u + v
    rx, ry = rx[:, None], ry[:, None]
    if piece.rx == piece.ry:
        return rx - rx * np.sqrt(radial, out=radial)
    radial += _TINY
    np.sqrt(radial, out=radial)
    u /= rx * rx
    v /= ry * ry
    u += v
    u += _TINY / (rx * rx)
    return (1.0 - radial) * radial / np.sqrt(u, out=u)


def _share(depth: Floats) -> Floats:
    """How much of a pixel a half-plane covers whose edge is `depth` pixels away from the pixel's center."""
    share = depth + 0.5
    return np.clip(share, 0.0, 1.0, out=share)
