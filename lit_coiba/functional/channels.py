"""Attributions of color values become attributions of pixels."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

Reduce = Literal["sum", "mean", "abs_max", "abs_mean"]


def over_colours(values: Tensor, reduce: Reduce) -> Tensor:
    """Values per color ``(B, C, H, W)`` as values per pixel ``(B, H, W)``, signed for ``sum`` and ``mean``."""
    if reduce == "abs_max":
        return values.abs().amax(1)
    if reduce == "abs_mean":
        return values.abs().mean(1)
    return values.sum(1) if reduce == "sum" else values.mean(1)
