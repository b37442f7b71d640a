"""How evenly the values of a map are spread over their range."""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.functional.precise import fp64_where_possible


def histogram_entropy(maps: Tensor, bins: int = 100) -> Tensor:
    """Entropy in nats of the histogram of each map over its own range, ``(B, h, w)`` -> ``(B,)`` in [0, ln bins].

    Hedström et al., 2024 (arXiv 2401.06465). The same for ``a * map + c`` with a above 0. NaN where a map is constant
    or not finite.

    Args:
        maps: ``(B, h, w)``.
        bins: Number of bins of equal width.

    Example:
        >>> histogram_entropy(torch.tensor([[[0.0, 1.0]], [[2.0, 2.0]]]))
        tensor([0.6931,    nan], dtype=torch.float64)
    """
    values = fp64_where_possible(maps).flatten(1)
    low, high = values.amin(1, keepdim=True), values.amax(1, keepdim=True)
    defined = values.isfinite().all(1) & (high > low)[:, 0]
    place = ((values - low) / (high - low) * bins).nan_to_num(0).long().clamp(0, bins - 1)
    counts = torch.zeros(len(values), bins, dtype=values.dtype, device=values.device)
    shares = counts.scatter_add_(1, place, torch.ones_like(values)) / values.shape[1]
    return -torch.xlogy(shares, shares).sum(1).where(defined, torch.nan)
