"""Bounds of max pooling by a plane above and a plane below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
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
    to u lies above it. Where ``U <= l``, both are ``z_i`` itself. Entries of equal l share: the mean of their planes.
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
        size = tuple(box.lower.shape[-2:])
        lower, first = F.max_pool2d(
            box.lower, self.kernel, self.stride, self.padding, self.dilation, return_indices=True
        )
        carried = rows.new_zeros(*rows.shape[:3], size[0] * size[1])
        offset, above, below = rows.new_zeros(rows.shape[:2]), rows.clamp_min(0), rows.clamp_max(0)
        for index, share in self._highest(box.lower, lower, first):
            slope, level = self._chord(box.upper, lower, index)
            offset += (above * (share * level).unsqueeze(1)).flatten(2).sum(2)
            chosen = (above * slope.unsqueeze(1) + below) * share.unsqueeze(1)
            carried.scatter_add_(3, index.flatten(2).unsqueeze(1).expand(-1, rows.shape[1], -1, -1), chosen.flatten(3))
        return (carried.unflatten(3, size),), offset

    def _highest(self, lowest: Tensor, lower: Tensor, first: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Entries i of all windows, as numbers of places, and the share that each has: equal ones share evenly.

        Any of them gives valid planes, and so does their mean, which a flip of the image does not change.
        """
        tied = [(index, same & inside) for index, same, inside in self._entries(lowest, lower)]
        count = torch.stack([there for _, there in tied]).sum(0).to(lower)
        if (count == 1).all():
            yield first, torch.ones_like(lower)
            return
        for index, there in tied:
            if there.any():
                yield torch.where(there, index, first), there.to(lower) / count

    def _entries(self, lowest: Tensor, lower: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """For each offset in a window: the number of the place, whether it is as high as `lower`, whether it exists."""
        height, width = lowest.shape[-2:]
        (rows, columns), flat = lower.shape[-2:], lowest.flatten(2)
        y = torch.arange(rows, device=lower.device).view(-1, 1) * self.stride[0] - self.padding[0]
        x = torch.arange(columns, device=lower.device).view(1, -1) * self.stride[1] - self.padding[1]
        for i, j in product(range(self.kernel[0]), range(self.kernel[1])):
            down, right = y + i * self.dilation[0], x + j * self.dilation[1]
            inside = (down >= 0) & (down < height) & (right >= 0) & (right < width)
            number = (down.clamp(0, height - 1) * width + right.clamp(0, width - 1)).expand_as(lower)
            yield number, flat.gather(2, number.flatten(2)).view_as(lower) == lower, inside

    def _chord(self, highest: Tensor, lower: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Slope and level of the plane above, ``slope z_i + level``."""
        upper = highest.flatten(2).gather(2, index.flatten(2)).view_as(lower)
        others = self._others(highest, index)
        bottom, top = torch.maximum(lower, others), torch.maximum(upper, others)
        width = upper - lower
        slope = torch.where(width > 0, (top - bottom) / width.clamp_min(torch.finfo(width.dtype).tiny), 0)
        slope = slope.clamp(0, 1)
        return slope, torch.maximum(bottom - slope * lower, top - slope * upper)

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
