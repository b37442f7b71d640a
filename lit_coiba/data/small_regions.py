"""Objects that a resize to fewer pixels would lose."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def keep_small(mask: Tensor, resized: Tensor) -> Tensor:
    """A resized mask in which each object of the mask has at least a pixel.

    A resize to nearest looks at one pixel of the picture for each of its own; what lies between these is gone. Of a
    box that vanishes, the rows and columns that hold it are kept, and where there is none, the one of its center; of
    any other shape, the pixel of its center.

    Args:
        mask: Where the objects are, ``(H, W)`` bool; an object is what hangs together, also by corners.
        resized: The same by nearest neighbor, ``(h, w)`` bool.

    Returns:
        ``(h, w)`` bool.

    Example:
        >>> mask = torch.zeros(8, 8, dtype=torch.bool)
        >>> mask[2, 4:6] = True
        >>> keep_small(mask, torch.zeros(2, 2, dtype=torch.bool))
        tensor([[False,  True],
                [False, False]])
    """
    shrinks = resized.shape[0] < mask.shape[0] or resized.shape[1] < mask.shape[1]
    if not shrinks or not mask.any():
        return resized
    from scipy.ndimage import find_objects, label  # a tenth of a second to import, and most runs have no regions

    parts, _ = label(mask.numpy(), np.ones((3, 3)))
    height, width = resized.shape
    numbered = Image.fromarray(parts.astype(np.int32)).resize((width, height), Image.Resampling.NEAREST)
    seen = set(np.unique(np.asarray(numbered)).tolist())
    rows, columns = (_middles(*sides) for sides in zip(mask.shape, resized.shape))
    kept = resized.clone()
    for number, box in enumerate(find_objects(parts), start=1):
        if number in seen:
            continue
        full = bool((parts[box] == number).all())
        places = [_held(side, middles, full) for side, middles in zip(box, (rows, columns))]
        kept[places[0][:, None], places[1]] = True
    return kept


def _middles(side: int, size: int) -> Tensor:
    """The pixel of `side` that each of `size` pixels takes its value from."""
    return ((torch.arange(size, dtype=torch.float64) + 0.5) * side / size).long().clamp_max(side - 1)


def _held(box: slice, middles: Tensor, full: bool) -> Tensor:
    """Numbers of the pixels of the resized side that hold an object, at least that of its center."""
    inside = ((middles >= box.start) & (middles < box.stop)).nonzero().flatten()
    if full and len(inside):
        return inside
    center = (box.start + box.stop) / 2
    return (middles + 0.5 - center).abs().argmin().view(1)
