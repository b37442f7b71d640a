"""Images without what people marked as the evidence, and without all the rest."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

Part = Literal["marked", "rest"]
PARTS = get_args(Part)
SHARE = 0.5  # of the peak of a map: what is at least so important counts as marked (ours)


def marked(importance: Tensor, share: float = SHARE) -> Tensor:
    """Where a map is at least `share` of its peak: ``(B, H, W)`` -> bool; nowhere in a map without a value above 0.

    Example:
        >>> marked(torch.tensor([[[0.0, 1.0, 2.0]]]))
        tensor([[[False,  True,  True]]])
    """
    peaks = importance.amax((1, 2), keepdim=True)
    return (importance >= share * peaks) & (peaks > 0)


def without_part(
    images: Tensor, importance: Tensor, part: Part, share: float = SHARE, baseline: Tensor | float = 0.0
) -> Tensor:
    """Images ``(B, C, H, W)`` with one part replaced by a baseline.

    Args:
        images: Normalized model input.
        importance: Maps ``(B, H, W)``, smoothed.
        part: ``marked`` = what people marked goes; ``rest`` = all the rest does.
        share: See `marked`.
        baseline: What takes the place, ``(B, C, H, W)`` or a number; 0 = the mean of the preprocessing.
    """
    gone = marked(importance, share).unsqueeze(1)
    gone = gone if part == "marked" else ~gone
    return torch.where(gone, baseline, images)
