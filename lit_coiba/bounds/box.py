"""A box of activations: all values between two corners."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Box(NamedTuple):
    """N boxes, one per row: entries lie independently between `lower` and `upper`.

    Example:
        >>> box = Box.around(torch.tensor([[1.0, 2.0]]), 0.5)
        >>> box.lower, box.upper
        (tensor([[0.5000, 1.5000]]), tensor([[1.5000, 2.5000]]))
    """

    lower: Tensor  # (N, ...)
    upper: Tensor  # (N, ...)

    @classmethod
    def around(cls, centre: Tensor, radius: Tensor | float) -> Box:
        """All points whose entries are at most `radius` away from those of `centre`."""
        return cls(centre - radius, centre + radius)

    @property
    def centre(self) -> Tensor:
        """The middle, ``(N, ...)``."""
        return (self.lower + self.upper) / 2

    @property
    def radius(self) -> Tensor:
        """Half of the width of each side, ``(N, ...)``."""
        return (self.upper - self.lower) / 2

    def intersect(self, other: Box) -> Box:
        """The intersection of two boxes; where rounding leaves it empty, the point between them."""
        lower, upper = torch.maximum(self.lower, other.lower), torch.minimum(self.upper, other.upper)
        middle = (lower + upper) / 2
        return Box(torch.minimum(lower, middle), torch.maximum(upper, middle))

    def highest(self, rows: Tensor) -> Tensor:
        """Largest value of each linear function over its box, ``(N, R, ...)`` coefficients -> ``(N, R)``.

        Example:
            >>> Box.around(torch.tensor([[1.0, 2.0]]), 0.5).highest(torch.tensor([[[1.0, -1.0]]]))
            tensor([[0.]])
        """
        return _product(rows, self.centre) + _product(rows.abs(), self.radius)


def _product(rows: Tensor, values: Tensor) -> Tensor:
    """``(N, R, ...)`` times ``(N, ...)``, summed over all but N and R."""
    return (rows.flatten(2) @ values.flatten(1).unsqueeze(-1)).squeeze(-1)
