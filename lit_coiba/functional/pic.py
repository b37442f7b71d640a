"""Performance information curves without the model: points in order, the area under them, their median."""

from __future__ import annotations

import torch
from torch import Tensor


def information_curve(information: Tensor, performance: Tensor) -> tuple[Tensor, Tensor]:
    """Points of each curve in the order of their information, with both ends ``(B, n + 2)``, and never falling.

    Kapishnikov et al., XRAI, 2019 (arXiv 1906.02825), section 5. (0, 0) and (1, 1) are added, points are put in order,
    of equal information the best performance is kept, and then each performance is the largest so far. Ours: in this
    order (the released code takes the largest first, and its curves may fall).

    Args:
        information: Normalized information ``(B, n)``, in [0, 1].
        performance: Normalized performance ``(B, n)``, in [0, 1].

    Example:
        >>> information_curve(torch.tensor([[0.3, 0.2]]), torch.tensor([[0.1, 0.5]]))
        (tensor([[0.0000, 0.2000, 0.3000, 1.0000]]), tensor([[0.0000, 0.5000, 0.5000, 1.0000]]))
    """
    zero, one = torch.zeros_like(information[:, :1]), torch.ones_like(information[:, :1])
    u, q = torch.cat([zero, information, one], 1), torch.cat([zero, performance, one], 1)
    best = q.argsort(dim=1, descending=True, stable=True)
    u, q = u.gather(1, best), q.gather(1, best)
    order = u.argsort(dim=1, stable=True)
    return u.gather(1, order), q.gather(1, order).cummax(1).values


def area_under_points(information: Tensor, performance: Tensor) -> Tensor:
    """Area under the lines between points in order; ``(B, n)``, ``(B, n)`` -> ``(B,)``.

    Example:
        >>> area_under_points(torch.tensor([[0.0, 0.2, 0.3, 1.0]]), torch.tensor([[0.0, 0.5, 0.5, 1.0]]))
        tensor([0.6250])
    """
    return (information.diff(dim=1) * (performance[:, 1:] + performance[:, :-1]) / 2).sum(1)


def heights_at(information: Tensor, performance: Tensor, places: Tensor) -> Tensor:
    """Height of the lines between points in order, at some information; ``(B, n)`` twice, ``(m,)`` -> ``(B, m)``.

    Example:
        >>> heights_at(torch.tensor([[0.0, 0.5, 1.0]]), torch.tensor([[0.0, 0.8, 1.0]]), torch.tensor([0.25, 0.5, 1.0]))
        tensor([[0.4000, 0.8000, 1.0000]])
    """
    asked = places.to(information).expand(len(information), -1).contiguous()
    after = torch.searchsorted(information.contiguous(), asked, right=True)
    high = after.clamp_max(information.shape[1] - 1)
    low = (after - 1).clamp_min(0)
    start, width = information.gather(1, low), information.gather(1, high) - information.gather(1, low)
    share = torch.where(width > 0, (asked - start) / width, 0.0)
    return torch.lerp(performance.gather(1, low), performance.gather(1, high), share)


def median_of_counts(counts: Tensor) -> Tensor:
    """Median of values that were counted in equal steps from 0 to 1; ``(m, bins)`` -> ``(m,)`` fp64, NaN without any.

    Example:
        >>> median_of_counts(torch.tensor([[1, 0, 3, 0, 0], [1, 0, 0, 0, 1]]))
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    reached, total = counts.cumsum(1), counts.sum(1, keepdim=True)
    middle = torch.cat([(total - 1) // 2, total // 2], 1)  # of an even number, the two in the middle
    bins = torch.searchsorted(reached.contiguous(), middle, right=True).double().mean(1) / (counts.shape[1] - 1)
    return bins.masked_fill(total[:, 0] == 0, torch.nan)
