"""Sobol indices: shares of the variance of a score that inputs account for.

Notation of Saltelli et al., 2010: designs A and B ``(n, d)`` are two halves of one sequence in 2 d dimensions, and C_i
is A with column i taken from B. ``a``, ``b`` ``(n, ...)`` and ``c`` ``(d, n, ...)`` are the scores of their rows.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Estimator = Literal["jansen", "homma", "janon", "glen_isaacs", "saltelli"]

ROUNDING = 8  # units in the last place of the scores, below which they count as constant


def replicated_rows(halves: Tensor, rows: Tensor, with_b: bool = False) -> Tensor:
    """Rows of the stacked design ``[A; C_0; ...; C_(d-1)]``, or ``[A; B; C_0; ...]``: ``(len(rows), d)``.

    The whole of it, of ``n (d + 1)`` rows, is never made.

    Args:
        halves: ``(n, 2 d)``: A beside B.
        rows: Numbers of rows, int64.
        with_b: B is part of the stack.

    Example:
        >>> replicated_rows(torch.tensor([[1, 2, 10, 20]]), torch.arange(3))
        tensor([[ 1,  2],
                [10,  2],
                [ 1, 20]])
    """
    first, second = halves.chunk(2, -1)
    block, point = rows // len(halves), rows % len(halves)
    made = first[point].clone()
    if with_b:
        made[block == 1] = second[point[block == 1]]
    column = block - (2 if with_b else 1)
    of_c = (column >= 0).nonzero().squeeze(-1)
    made[of_c, column[of_c]] = second[point[of_c], column[of_c]]
    return made


def total_order(a: Tensor, c: Tensor, estimator: Estimator = "jansen") -> Tensor:
    """Total-order indices ``(d, ...)``: the share of the variance that goes where an input is known with all others.

    Scores are centered by the mean of `a` first, so that a constant added to all of them changes nothing; without, it
    would change what Homma's and Saltelli's estimators give for finite n. A score without variance has zeros.

    Args:
        a: ``(n, ...)``.
        c: ``(d, n, ...)``.
        estimator: ``jansen`` = Jansen, 1999: ``mean (a - c)^2 / 2 V``, never negative and exactly 0 for an input that
            is not used; ``homma`` = Homma and Saltelli, 1996: ``1 - mean a c / V``; an unused input has 1 / n;
            ``janon`` = Janon et al., 2014: the same, with mean and variance of `a` and `c` together; ``glen_isaacs`` =
            Glen and Isaacs, 2012: one minus the correlation of `a` and `c`; ``saltelli`` = Saltelli et al., 2008:
            ``mean a (a - c) / V``, V divided by n. The other variances V are divided by n - 1.

    Example:
        >>> total_order(torch.tensor([0.0, 1.0]), torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        tensor([0., 1.], dtype=torch.float64)
    """
    n = len(a)
    a, c, constant = _centred(a, c)
    variance = a.square().sum(0) / (n - 1)
    if estimator == "jansen":
        indices = (a - c).square().sum(1) / (2 * n * variance)
    elif estimator == "homma":
        indices = 1 - (a * c).mean(1) / variance
    elif estimator == "saltelli":
        indices = (a * (a - c)).mean(1) / a.square().mean(0)
    elif estimator == "janon":
        mean = 0.5 * (a + c).mean(1)
        indices = 1 - ((a * c).mean(1) - mean.square()) / (0.5 * (a.square() + c.square()).mean(1) - mean.square())
    else:
        other = c - c.mean(1, keepdim=True)
        norms = a.square().sum(0).sqrt() * other.square().sum(1).sqrt()
        indices = 1 - (a * other).sum(1) / norms
    return indices.masked_fill(constant | ~indices.isfinite(), 0.0)


def first_order(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """First-order indices ``(d, ...)``: the share of the variance that an input accounts for alone.

    Saltelli et al., 2010: ``mean b (c - a) / V``, scores centered by the mean of `a`. May be a little below zero.

    Args:
        a: ``(n, ...)``.
        b: ``(n, ...)``.
        c: ``(d, n, ...)``.

    Example:
        >>> first_order(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0]), torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        tensor([0., 1.], dtype=torch.float64)
    """
    middle, n = a.double().mean(0), len(a)
    a, c, constant = _centred(a, c)
    variance = a.square().sum(0) / (n - 1)
    return ((b.double() - middle) * (c - a)).mean(1).div(variance).masked_fill(constant, 0.0)


def _centred(a: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`a` and `c` less the mean of `a`, in fp64; and where `a` is constant, but for rounding."""
    smallest = ROUNDING * torch.finfo(a.dtype).eps * a.abs().amax(0)
    constant = (a - a[:1]).abs().amax(0) <= smallest
    middle = a.double().mean(0)
    return a.double() - middle, c.double() - middle, constant
