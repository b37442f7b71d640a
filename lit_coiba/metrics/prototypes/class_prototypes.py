"""Which units are the prototypes of a class, where units are shared among classes."""

from __future__ import annotations

import torch
from torch import Tensor


def class_prototypes(weights: Tensor | None, units: int, classes: int, top: int = 10) -> Tensor:
    """Units of largest weight for each class, ``(K, T)`` int64, the largest first; -1 = the class has no more.

    A reconstruction: units that all classes share have no class of their own, and the measures of consistency and
    stability ask for the prototypes of the true class. A unit that speaks against a class, or not at all, is none.

    Args:
        weights: W, ``(K, U)``; None = every unit is a prototype of every class.
        units: U.
        classes: K.
        top: How many, at most; only where there are weights.

    Example:
        >>> class_prototypes(torch.tensor([[0.1, 0.0, 0.7], [0.0, 0.2, 0.0]]), 3, 2, top=2)
        tensor([[ 2,  0],
                [ 1, -1]])
    """
    if weights is None:
        return torch.arange(units).expand(classes, units)
    found = weights.sort(dim=1, descending=True, stable=True)
    chosen = found.indices[:, :top]
    return torch.where(found.values[:, :top] > 0, chosen, -1).cpu()
