"""What a map can reach that is compared with people: how far people agree among themselves."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lit_coiba.functional.correlation import spearman


def split_half(maps: Tensor, orders: Tensor) -> Tensor:
    """Spearman's correlation between the mean maps of two halves of the participants, for each split, fp64 ``(S,)``.

    Both halves are as large: of an odd number of participants one is left out of each split. NaN where the maps of a
    half are the same everywhere.

    Args:
        maps: Maps ``(P, ...)`` of P participants, 2 or more.
        orders: Random orders of the participants ``(S, P)``, int64, which are cut in the middle.

    Example:
        >>> maps = torch.tensor([[1.0, 2.0, 3.0], [2.0, 3.0, 9.0]])
        >>> split_half(maps, torch.tensor([[0, 1], [1, 0]]))
        tensor([1.0000, 1.0000], dtype=torch.float64)
    """
    half, flat = len(maps) // 2, maps.flatten(1).double()
    one, other = (
        torch.stack([flat[some].mean(0) for some in part]) for part in (orders[:, :half], orders[:, half : 2 * half])
    )
    return spearman(one, other)


def spearman_brown(half: float) -> float:
    """Correlation of the mean map of all participants with the truth, from that of two halves with one another.

    The reliability of all is ``2 r / (1 + r)`` (Spearman and Brown, 1910), and its square root is what the mean of all
    is correlated with what it is an estimate of. NaN where the halves are not correlated.

    Args:
        half: Correlation r of the halves.

    Example:
        >>> round(spearman_brown(0.709), 3)
        0.911
    """
    return math.sqrt(2 * half / (1 + half)) if half > 0 else math.nan
