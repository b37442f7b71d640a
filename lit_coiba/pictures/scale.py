"""What the colors of a map stand for: which value is nothing, which is full color, and whether it has a sign."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

GRID_CELLS = 64 * 64  # a map with more cells has one for each pixel or so
PERCENTILE = 0.99  # of such a map, what is shown as its brightest color
OFFSET = 0.5  # a map that is everywhere above this share of its full scale is shown from its minimum on
SIGNED = 0.02  # a map whose lowest value is below this share of its largest absolute one has a sign, not noise


class Scale(NamedTuple):
    """What the colors of a map stand for."""

    low: float  # shown as nothing: 0, or the minimum of a map that is nowhere near 0
    high: float  # shown as the brightest color; of a signed map also with the other sign
    signed: bool = False  # whether values below 0 have a color of their own

    @classmethod
    def of(cls, values: Tensor) -> Scale:
        """The scale of a map ``(h, w)``: up to its maximum, or of a signed map to its largest absolute value.

        Of a map of single pixels it is the 99th percentile, where that is not 0: a few outliers would leave the rest
        black. RISE and ViT-CX put a mean score everywhere, and what they say is in the differences: a map that is
        nowhere near 0 begins at its minimum.
        """
        known = _finite(values)
        lowest, largest = (float(known.amin()), float(known.abs().amax())) if known.numel() else (0.0, 0.0)
        if lowest < -SIGNED * largest:
            return cls(0.0, _brightest(known.abs()), True)
        high = _brightest(known.clamp_min(0))
        return cls(lowest if OFFSET * high < lowest < high else 0.0, high)

    @classmethod
    def common(cls, maps: Iterable[Tensor]) -> Scale:
        """One scale for several maps, so that equal colors stand for equal values: from 0 to the largest of all."""
        scales = [cls.of(values) for values in maps]
        return cls(0.0, max((scale.high for scale in scales), default=0.0), any(scale.signed for scale in scales))

    def shares(self, values: Tensor) -> Tensor:
        """A map ``(h, w)`` as shares of the scale, in [0, 1], or in [-1, 1] where it is signed; NaN becomes 0.

        Example:
            >>> Scale(0.0, 4.0).shares(torch.tensor([[-1.0, 2.0, 4.0]]))
            tensor([[0.0000, 0.5000, 1.0000]])
        """
        known = _finite(values)
        above = self.high - self.low
        if above <= 0:
            return torch.zeros_like(known).float()
        return ((known - self.low) / above).clamp(-1.0 if self.signed else 0.0, 1.0).float()


def undefined(values: Tensor) -> Tensor:
    """Where a map ``(h, w)`` is NaN or infinite, bool."""
    return ~values.detach().cpu().double().isfinite()


def _finite(values: Tensor) -> Tensor:
    return values.detach().cpu().double().nan_to_num(0.0, 0.0, 0.0)


def _brightest(values: Tensor) -> float:
    """The value that gets the brightest color, of values that are not negative."""
    flat = values.flatten()
    if len(flat) > GRID_CELLS:
        percentile = float(flat.kthvalue(int(PERCENTILE * len(flat))).values)
        if percentile > 0:
            return percentile
    return float(flat.max()) if len(flat) else 0.0
