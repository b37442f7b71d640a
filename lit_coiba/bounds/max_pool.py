"""Bounds of max pooling by a plane above and a plane below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_coiba.bounds.box import Box
from lit_coiba.bounds.operation import Carried, Operation


class MaxPool(Operation):
    """The maximum of each window.

    Let i be the entry with the largest lower end l, u its upper end, and U the largest upper end of the others of its
    window. The maximum is at least ``z_i``, and at most ``max(z_i, U)``, which is convex in ``z_i``: the chord from l
    to u lies above it. Where ``U <= l``, both are ``z_i`` itself.
    """

    affine: ClassVar[bool] = False

    def __init__(self, module: nn.MaxPool2d) -> None:
        self.kernel, self.stride, self.padding, self.dilation = (
            _pair(value) for value in (module.kernel_size, module.stride, module.padding, module.dilation)
        )

    def forward(self, *inputs: Box) -> Box:
        """Both corners."""
        (box,) = inputs
        return Box(*(F.max_pool2d(end, self.kernel, self.stride, self.padding, self.dilation) for end in box))

    def backward(self, rows: Tensor, inputs: Sequence[Box], shapes: Sequence[Sequence[int]]) -> Carried:
        """Each row on the entries i."""
        (box,) = inputs
        lower, index = F.max_pool2d(
            box.lower, self.kernel, self.stride, self.padding, self.dilation, return_indices=True
        )
        upper = box.upper.flatten(2).gather(2, index.flatten(2)).view_as(lower)
        others = self._others(box.upper, index)
        bottom, top = torch.maximum(lower, others), torch.maximum(upper, others)
        width = upper - lower
        slope = torch.where(width > 0, (top - bottom) / width.clamp_min(torch.finfo(width.dtype).tiny), 0)
        slope = slope.clamp(0, 1)
        level = torch.maximum(bottom - slope * lower, top - slope * upper)
        above, below = rows.clamp_min(0), rows.clamp_max(0)
        offset = (above * level.unsqueeze(1)).flatten(2).sum(2)
        chosen = above * slope.unsqueeze(1) + below
        carried = rows.new_zeros(*rows.shape[:3], box.lower.shape[-2] * box.lower.shape[-1])
        carried.scatter_add_(3, index.flatten(2).unsqueeze(1).expand(-1, rows.shape[1], -1, -1), chosen.flatten(3))
        return (carried.unflatten(3, tuple(box.lower.shape[-2:])),), offset

    def _others(self, upper: Tensor, index: Tensor) -> Tensor:
        """Largest value of `upper` in each window, but for the entry `index`; the lowest number where it is alone."""
        lowest = torch.finfo(upper.dtype).min
        (above, left), width = self.padding, upper.shape[-1]
        padded = F.pad(upper, (left, left, above, above), value=lowest)
        best = torch.full_like(index, lowest, dtype=upper.dtype)
        rows, columns = index.shape[-2:]
        y = torch.arange(rows, device=upper.device).view(-1, 1) * self.stride[0] - above
        x = torch.arange(columns, device=upper.device).view(1, -1) * self.stride[1] - left
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                down, right = i * self.dilation[0], j * self.dilation[1]
                part = padded[..., down :: self.stride[0], right :: self.stride[1]][..., :rows, :columns]
                own = index == (y + down) * width + (x + right)
                best = torch.maximum(best, part.masked_fill(own, lowest))
        return best


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value
