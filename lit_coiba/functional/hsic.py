"""Hilbert-Schmidt independence criterion: how much a score depends on an input, whatever the form of the dependence.

Gretton et al., "Measuring Statistical Dependence with Hilbert-Schmidt Norms", 2005; kernels and normalization of
Novello, Fel and Vigouroux, "Making Sense of Dependence", 2022 (arXiv 2206.06219).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Kernel = Literal["binary", "rbf", "sobolev"]
Bandwidth = Literal["median_distance", "median_y"]

WIDTH = 0.5  # of the kernel `rbf`, as published
AT_ONCE = 2**23  # entries of kernel matrices, 64 MB
ROUNDING = 8  # units in the last place of the scores, below which they count as constant


def hsic(inputs: Tensor, scores: Tensor, kernel: Kernel = "binary", bandwidth: Bandwidth = "median_distance") -> Tensor:
    """Dependence of each score on each input, fp64 ``(d, B)``, at least 0: ``trace(H K_i H L) / n``.

    For binary inputs the centered kernel matrix has rank one, ``2 s s^T`` with s the centered column, so all of them
    take one matrix product with L; the others take d n^2 operations and n^2 memory for each input in turn.

    Args:
        inputs: ``(n, d)`` in [0, 1]; for ``binary`` zeros and ones.
        scores: ``(n, B)``. A constant one depends on nothing.
        kernel: ``binary`` = ``1/2 - (a - b)^2``; ``rbf`` = Gaussian of width 1/2; ``sobolev`` = half the second
            Bernoulli polynomial of ``|a - b|``, plus ``(a - 1/2)(b - 1/2)``. That of the scores is a Gaussian.
        bandwidth: Its width: ``median_distance`` = the median of the distances of scores that differ; ``median_y`` =
            of the scores themselves, as in the public code: it depends on a constant added to them.

    Example:
        >>> corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> hsic(corners, corners[:, :1])
        tensor([[0.3935],
                [0.0000]], dtype=torch.float64)
    """
    n, smallest = len(scores), ROUNDING * torch.finfo(scores.dtype).eps * scores.abs().amax(0)
    constant = (scores - scores[:1]).abs().amax(0) <= smallest
    inputs, scores = inputs.double(), scores.double()
    step = max(1, AT_ONCE // n**2)
    parts = [_dependence(inputs, part, kernel, bandwidth) for part in scores.split(step, 1)]
    return torch.cat(parts, 1).masked_fill(constant, 0.0)


def _dependence(inputs: Tensor, scores: Tensor, kernel: Kernel, bandwidth: Bandwidth) -> Tensor:
    """`hsic` of as many scores as fit."""
    n = len(inputs)
    similar = _gaussian(scores.T, bandwidth)  # (B, n, n)
    if kernel == "binary":
        centred = inputs - inputs.mean(0)
        return (2 / n * (centred * (similar @ centred)).sum(1)).T.clamp_min(0)
    similar = similar.flatten(1)
    rows = []
    for values in inputs.T:
        matrix = _rbf(values) if kernel == "rbf" else _sobolev(values)
        matrix = matrix - matrix.mean(0) - matrix.mean(1, keepdim=True) + matrix.mean()
        rows.append(similar @ matrix.flatten() / n)
    return torch.stack(rows).clamp_min(0)


def _gaussian(scores: Tensor, bandwidth: Bandwidth) -> Tensor:
    """Kernel matrices ``(B, n, n)`` of scores ``(B, n)``."""
    distance = (scores.unsqueeze(-1) - scores.unsqueeze(-2)).abs()
    same = distance == 0
    if bandwidth == "median_y":
        width = scores.quantile(0.5, -1)
    else:
        width = _median(distance.masked_fill(same, torch.nan).flatten(1))
    matrix = (-0.5 * (distance / width.view(-1, 1, 1)).square()).exp()
    return matrix.masked_fill(same, 1.0)  # so for a width of 0 as well


def _median(values: Tensor) -> Tensor:
    """Median of each row without its NaN, of an even number the mean of the two in the middle; NaN of none."""
    ordered = values.sort(-1).values  # NaN come last
    count = values.isfinite().sum(-1, keepdim=True)
    middle = torch.cat([(count - 1).clamp_min(0) // 2, count // 2], -1)
    return ordered.gather(-1, middle.clamp_max(values.shape[-1] - 1)).mean(-1)


def _rbf(values: Tensor) -> Tensor:
    return (-0.5 * ((values.unsqueeze(-1) - values) / WIDTH).square()).exp()


def _sobolev(values: Tensor) -> Tensor:
    apart, centred = (values.unsqueeze(-1) - values).abs(), values - 0.5
    return 0.5 * (apart.square() - apart + 1 / 6) + centred.unsqueeze(-1) * centred
