"""How far two lists of numbers agree: Pearson's and Spearman's correlation, row by row."""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.functional.precise import fp64_where_possible

ROUNDING = 1e-12  # of the largest magnitude of a row: a smaller spread is none


def pearson(one: Tensor, other: Tensor) -> Tensor:
    """Pearson's correlation of each row, fp64: ``(..., n)`` and ``(..., n)`` -> ``(...)``.

    NaN where one of them is constant but for rounding, or has an entry that is not finite.

    Example:
        >>> pearson(torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]), torch.tensor([[0.0, 1.0, 5.0], [7.0, 7.0, 7.0]]))
        tensor([0.9449,    nan], dtype=torch.float64)
    """
    a, b = _standardized(one), _standardized(other)
    return (a * b).sum(-1).clamp(-1, 1)


def spearman(one: Tensor, other: Tensor) -> Tensor:
    """Spearman's rank correlation of each row, ties averaged, fp64: ``(..., n)`` and ``(..., n)`` -> ``(...)``.

    NaN where one of them is constant, or has an entry that is not finite.

    Example:
        >>> spearman(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0.0, 1.0, 1.0, 9.0]))
        tensor(0.9487, dtype=torch.float64)
    """
    return pearson(average_ranks(one), average_ranks(other))


def average_ranks(values: Tensor) -> Tensor:
    """Place of each entry in ascending order, from 1; equal entries share the mean of their places; ``(..., n)``, fp64.

    NaN in rows with an entry that is not finite.

    Example:
        >>> average_ranks(torch.tensor([0.5, 0.1, 0.5, 0.9]))
        tensor([2.5000, 1.0000, 2.5000, 4.0000], dtype=torch.float64)
    """
    rows = values.contiguous()
    ordered = rows.sort(-1).values
    below = torch.searchsorted(ordered, rows)
    up_to = torch.searchsorted(ordered, rows, right=True)
    ranks = fp64_where_possible((below + up_to + 1) / 2)
    return ranks.masked_fill(~rows.isfinite().all(-1, keepdim=True), torch.nan)


def without_rounding(values: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Rows ``(..., n)`` in fp64, in which what differs by rounding alone is equal; NaN stays.

    Entries become whole multiples of a small share of the row's largest magnitude: 2^-40 in double, 2^-18 in single
    precision. So sums of the same numbers in another order are ties, as they should be where they are ranked.

    Args:
        values: Rows.
        dtype: Precision of what they are made of; None = their own.

    Example:
        >>> sums = torch.tensor([0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1], dtype=torch.float64)
        >>> sums.diff(), without_rounding(sums).diff()
        (tensor([-1.1102e-16], dtype=torch.float64), tensor([0.], dtype=torch.float64))
    """
    bits = 40 if (values.dtype if dtype is None else dtype) == torch.float64 else 18
    exact = fp64_where_possible(values)
    largest = exact.masked_fill(~exact.isfinite(), 0).abs().amax(-1, keepdim=True)
    least = torch.finfo(exact.dtype).tiny * 2 ** (bits + 1)
    unit = (largest.clamp_min(least).log2().ceil() - bits).exp2()
    return (exact / unit).round() * unit


def _standardized(values: Tensor) -> Tensor:
    """Rows with mean 0 and norm 1; NaN where they are constant."""
    exact = fp64_where_possible(values)
    spread = exact.amax(-1, keepdim=True) - exact.amin(-1, keepdim=True)
    constant = ~(spread > ROUNDING * exact.abs().amax(-1, keepdim=True))
    centered = (exact - exact.mean(-1, keepdim=True)).masked_fill(constant, torch.nan)
    return centered / centered.norm(dim=-1, keepdim=True)
