"""A clamp that training does not get stuck behind."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def inward_clamp(values: Tensor, low: float, high: float) -> Tensor:
    """`values` clamped, with a gradient outside the bounds too, where a step along it leads back.

    `torch.clamp` has none there, so whatever a training pushes over a bound stays behind it for good.

    Args:
        values: ``(...)``, floating point.
        low: Lower bound.
        high: Upper bound.
    """
    clamped: Tensor = _InwardClamp.apply(values, low, high)
    return clamped


class _InwardClamp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(values)
        ctx.bounds = low, high
        return values.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        (values,), (low, high) = ctx.saved_tensors, ctx.bounds
        outwards = ((values > high) & (slope < 0)) | ((values < low) & (slope > 0))  # of a step against the slope
        return slope.masked_fill(outwards, 0), None, None
