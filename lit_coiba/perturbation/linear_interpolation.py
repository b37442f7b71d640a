"""An image from some of its pixels: the others lie on planes between the three around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def interpolate_linearly(pixels: NDArray[np.uint8], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """An image whose unknown pixels are interpolated between the known ones, each channel by itself, and rounded.

    Args:
        pixels: ``(H, W, C)``.
        known: Which pixels are known ``(H, W)``; the four corners are.

    Example:
        >>> row = np.array([0, 7, 4], np.uint8)
        >>> known = np.array([[True, False, True], [True, False, True]])
        >>> interpolate_linearly(np.stack([row, row])[..., None], known)[..., 0].tolist()
        [[0, 2, 4], [0, 2, 4]]
    """
    from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator  # slow to import, and rarely needed

    if known.all():
        return pixels
    places, asked = np.argwhere(known), np.argwhere(~known)
    values = pixels[known].astype(np.float64)
    found = LinearNDInterpolator(places, values)(asked)
    if (outside := np.isnan(found).any(1)).any():  # on the border, by rounding
        found[outside] = NearestNDInterpolator(places, values)(asked[outside])
    filled = pixels.copy()
    filled[~known] = np.rint(found).clip(0, 255).astype(np.uint8)
    return filled
