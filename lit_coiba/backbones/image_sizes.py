"""Weights of a transformer that were trained on images of another size than the model is built for, without a word."""

from __future__ import annotations

import warnings
from math import isqrt
from typing import Any

from lit_coiba.backbones.weights_file import Weights


def warn_of_size(weights: Weights, model: Any, file: str) -> None:
    """Say that the position embedding is resampled, where nobody has asked for this size of images.

    Args:
        weights: Weights as the file has them.
        model: The timm model, built for timm's own size.
        file: The file, for messages.
    """
    theirs, own = weights.get("pos_embed"), getattr(model, "pos_embed", None)
    embedding = getattr(model, "patch_embed", None)
    patch, grid = getattr(embedding, "patch_size", None), getattr(embedding, "grid_size", None)
    if theirs is None or own is None or theirs.dim() != 3 or own.shape == theirs.shape or not patch or not grid:
        return
    prefix = own.shape[1] - grid[0] * grid[1]
    count = theirs.shape[1] - prefix
    side = isqrt(max(count, 0))
    if prefix < 0 or side * side != count or side == grid[0]:
        return
    size, built = side * patch[0], (grid[0] * patch[0], grid[1] * patch[1])
    warnings.warn(
        f"the weights in {file} are for images of {size} x {size} pixels, and the model is built for {built[0]} x"
        f" {built[1]}, timm's own size: its position embedding is resampled. Set image_size to {size}, or to the size"
        " that you want",
        stacklevel=3,
    )
