"""Named points on a picture: where the parts of an object are."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Keypoints(NamedTuple):
    """Where the P parts of an object are, as far as they can be seen.

    Coordinates are continuous: 0 is the left (upper) edge of the picture, its width (height) the right (lower) one, and
    the pixel that a point lies in is its `floor`. Those of a part that is not visible mean nothing.
    """

    names: tuple[str, ...]  # P
    xy: Tensor  # (P, 2) float32, in pixels: x to the right, y down
    visible: Tensor  # (P,) bool
