"""How sure a mean is."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_DRAWS = 64  # of the bootstrap at once


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
    return paired_intervals(values.flatten().unsqueeze(1), level, draws, seed)[0]


def paired_intervals(values: Tensor, level: float = 0.95, draws: int = 2000, seed: int = 0) -> list[Interval]:
    """Percentile bootstrap of the mean of each column of ``(n, c)``, with the same draws of rows for all columns.

    NaN values are left out; a column without any other has NaN everywhere. Memory does not grow with `draws`.
    """
    values = values.detach().cpu().double()
    means = bootstrap_means(values, draws, seed)
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = torch.nanquantile(means, ends, dim=0)
    mean = values.nan_to_num(0.0).sum(0) / (~values.isnan()).sum(0)
    return [Interval(*ends) for ends in torch.stack([mean, low, high], 1).tolist()]


def bootstrap_means(values: Tensor, draws: int = 2000, seed: int = 0) -> Tensor:
    """Means of the columns of ``(n, c)`` over rows drawn with replacement, fp64 ``(draws, c)``.

    All columns have the same draws; NaN values are left out.
    """
    values = values.detach().cpu().double()
    known = torch.cat([values.nan_to_num(0.0), (~values.isnan()).double()], 1)  # (n, 2c): what is summed, and counted
    generator = torch.Generator().manual_seed(seed)
    size, columns = values.shape
    left = draws if size else 1
    pieces = [min(_DRAWS, left - start) for start in range(0, left, _DRAWS)]
    sums = torch.cat([torch.stack([_counts(size, generator) for _ in range(piece)]) @ known for piece in pieces])
    return sums[:, :columns] / sums[:, columns:]


def _counts(size: int, generator: torch.Generator) -> Tensor:
    """How often each of so many rows is drawn in one draw, ``(size,)`` fp64."""
    picks = torch.randint(size, (size,), generator=generator) if size else torch.empty(0, dtype=torch.long)
    return torch.bincount(picks, minlength=size).double()
