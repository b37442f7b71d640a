"""What an optimization of images gives."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

CLIPPED = 0.8  # share of the pixels whose importance is shown in proportion; that of the others is full
TAILS = 0.01  # share of the values at either end that is clipped where the contrast of a picture is stretched


class Visualizations(NamedTuple):
    """Images that were optimized, one for each objective."""

    images: Tensor  # (B, 3, H, W) RGB in [0, 1]
    importance: Tensor  # (B, H, W) sum over the steps of the absolute gradient, mean over the channels; at least 0
    scores: Tensor  # (B, steps) mean of the objective over the crops, before each step
    magnitude_error: Tensor  # (B,) at the end, as a share of the largest magnitude; NaN where none is held
    names: tuple[str, ...]  # what the images were optimized for

    @property
    def alpha(self) -> Tensor:
        """Opacity of each pixel, ``(B, H, W)`` in [0, 1]: its importance, clipped at the 80th percentile.

        Where that percentile is 0, since most pixels were never looked at, the maximum takes its place.
        """
        flat = self.importance.flatten(1)
        limit = flat.kthvalue(max(1, round(CLIPPED * flat.shape[1])), 1).values
        limit = limit.where(limit > 0, flat.amax(1)).clamp_min(1e-30)
        return (self.importance / limit[:, None, None]).clamp(0, 1)

    def stretched(self) -> Tensor:
        """The images with full contrast, ``(B, 3, H, W)`` in [0, 1]: the 1st percentile is 0, the 99th is 1."""
        flat = self.images.flatten(1)
        count = flat.shape[1]
        low, high = (
            flat.kthvalue(min(count, max(1, round(share * count))), 1).values[:, None, None, None]
            for share in (TAILS, 1 - TAILS)
        )
        return ((self.images - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
