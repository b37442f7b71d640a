"""The product of two activations, as in squeeze and excitation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from lit_coiba.bounds.box import Box
from lit_coiba.bounds.operation import Carried, Operation


class Product(Operation):
    """``y * z``, entry by entry; one may broadcast to the shape of the other.

    `backward` takes McCormick's planes: for y in [a, b] and z in [c, d],
    ``c y + a z - a c <= y z <= c y + b z - b c``.
    """

    affine: ClassVar[bool] = False

    def forward(self, *inputs: Box) -> Box:
        """The extreme one of the products of two ends."""
        first, second = inputs
        products = torch.stack([y * z for y in first for z in second])
        return Box(products.amin(0), products.amax(0))

    def backward(self, rows: Tensor, inputs: Sequence[Box], shapes: Sequence[Sequence[int]]) -> Carried:
        """McCormick's planes."""
        (a, b), (c, _) = (tuple(end.unsqueeze(1) for end in box) for box in inputs)
        above, below = rows.clamp_min(0), rows.clamp_max(0)
        offset = -(above * (b * c) + below * (a * c)).flatten(2).sum(2)
        parts = (rows * c, above * b + below * a)
        first, second = (part.sum_to_size(*rows.shape[:2], *shape) for part, shape in zip(parts, shapes))
        return (first, second), offset
