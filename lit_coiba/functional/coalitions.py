"""Shapley values by regression on coalitions: KernelSHAP's design and its fit.

Lundberg and Lee, "A Unified Approach to Interpreting Model Predictions", 2017 (arXiv 1705.07874); pairs of a coalition
and its complement as in Covert and Lee, "Improving KernelSHAP", 2021 (arXiv 2012.01536).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lit_coiba.functional.noise import noise, uniform


def coalitions(players: int, most: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Coalitions, fp64 ``(n, players)`` of zeros and ones, and their weights ``(n,)``, of the Shapley kernel.

    All ``2^d - 2`` of them where there are no more than `most`; else `most`, drawn in pairs of a coalition and its
    complement: a size by the kernel's mass, ``1 / s (d - s)``, then members of equal chance; each has the weight 1. The
    empty and the full one, of infinite weight, are not among them.

    Args:
        players: d, 1 or more.
        most: Largest number of coalitions.
        seed: Seed of the random draws.

    Example:
        >>> coalitions(2, 2)
        (tensor([[1., 0.],
                [0., 1.]], dtype=torch.float64), tensor([0.5000, 0.5000], dtype=torch.float64))
    """
    if players < 2:
        return torch.zeros(0, players, dtype=torch.float64), torch.zeros(0, dtype=torch.float64)
    if players < 31 and 2**players - 2 <= most:
        numbers = torch.arange(1, 2**players - 1)
        members = (numbers.unsqueeze(-1) >> torch.arange(players)) & 1
        sizes = members.sum(-1)
        kernel = [(players - 1) / (math.comb(players, s) * s * (players - s)) for s in range(1, players)]
        return members.double(), torch.tensor(kernel, dtype=torch.float64)[sizes - 1]
    pairs = (most + 1) // 2
    mass = torch.tensor([1 / (s * (players - s)) for s in range(1, players)], dtype=torch.float64)
    shares = uniform(noise(seed, 0, 0, (pairs,)).double())
    sizes = 1 + torch.searchsorted(mass.cumsum(0) / mass.sum(), shares).clamp_max(players - 2)
    ranks = noise(seed, 0, 1, (pairs, players)).argsort(-1).argsort(-1)
    members = (ranks < sizes.unsqueeze(-1)).double()
    both = torch.stack([members, 1 - members], 1).flatten(0, 1)[:most]
    return both, torch.ones(len(both), dtype=torch.float64)


def shapley_values(members: Tensor, weights: Tensor, scores: Tensor, empty: Tensor, full: Tensor) -> Tensor:
    """Shapley values fp64 ``(players, B)`` of the weighted least squares; their sum is ``full - empty`` exactly.

    The constraint is built in: values are equal shares plus a part that sums to zero, which is fitted. Where there are
    too few coalitions for one answer, it is the one nearest to equal shares.

    Args:
        members: ``(n, players)``.
        weights: ``(n,)``.
        scores: Scores of the coalitions, ``(n, B)``.
        empty: Score of none ``(B,)``.
        full: Score of all ``(B,)``.

    Example:
        >>> members, weights = coalitions(2, 2)
        >>> shapley_values(members, weights, torch.tensor([[3.0], [4.0]]), torch.zeros(1), torch.tensor([9.0]))
        tensor([[4.],
                [5.]], dtype=torch.float64)
    """
    share = members.double().mean(-1, keepdim=True)  # of all players
    centred = members.double() - share
    gain = (full - empty).double()
    left = scores.double() - empty.double() - share * gain
    weighted = weights.double().unsqueeze(-1) * centred
    fitted = torch.linalg.pinv(weighted.T @ centred, hermitian=True) @ (weighted.T @ left)
    fitted = fitted - fitted.mean(0)  # zero but for rounding
    return fitted + gain / members.shape[-1]
