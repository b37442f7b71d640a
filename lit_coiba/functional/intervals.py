"""How sure a mean is."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Interval(NamedTuple):
    """A mean with the ends of its confidence interval."""

    mean: float
    low: float
    high: float


def bootstrap_interval(values: Tensor, level: float = 0.95, draws: int = 2000, seed: int = 0) -> Interval:
    """Percentile bootstrap of the mean of ``(n,)`` values; NaN values are left out.

    Example:
        >>> bootstrap_interval(torch.ones(10))
        Interval(mean=1.0, low=1.0, high=1.0)
    """
    values = values.detach().cpu().double()
    values = values[~values.isnan()]
    if not len(values):
        return Interval(float("nan"), float("nan"), float("nan"))
    generator = torch.Generator().manual_seed(seed)
    picks = (torch.randint(len(values), (len(values),), generator=generator) for _ in range(draws))
    means = torch.stack([values[pick].mean() for pick in picks])
    low, high = torch.quantile(means, torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)).tolist()
    return Interval(float(values.mean()), low, high)
