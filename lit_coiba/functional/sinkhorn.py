"""Soft orders: doubly stochastic matrices in the place of permutations.

Mena, Belanger, Linderman and Snoek, "Learning Latent Permutations with Gumbel-Sinkhorn Networks", 2018 (arXiv
1802.08665).
"""

import torch
from torch import Tensor


def sinkhorn(scores: Tensor, rounds: int = 30) -> Tensor:
    """``exp(scores)`` scaled until rows and columns sum to about 1; ``(..., N, N)``.

    Args:
        scores: Larger = the column belongs to the row, ``(..., N, N)``.
        rounds: Number of normalizations of rows, and of columns; the last is of columns.

    Example:
        >>> sinkhorn(torch.tensor([[9.0, 0.0], [0.0, 9.0]])).round(decimals=2)
        tensor([[1., 0.],
                [0., 1.]])
    """
    for _ in range(rounds):
        scores = scores - scores.logsumexp(-1, keepdim=True)
        scores = scores - scores.logsumexp(-2, keepdim=True)
    return scores.exp()


def soft_order(values: Tensor, temperature: float, gumbel: Tensor | None = None, rounds: int = 30) -> Tensor:
    """Which value comes i-th, the largest first, ``(B, N, N)``: row i is a soft choice of one of N.

    Rows belong to anchors ``1 - i / (N - 1)``. Terms of rows and of columns cancel in `sinkhorn`, so a constant added
    to the values changes nothing, and their scale sets how soft the order is.

    Args:
        values: ``(B, N)``.
        temperature: Softness, above 0.
        gumbel: Gumbel noise ``(B, N, N)`` or ``(N, N)``; None = none.
        rounds: See `sinkhorn`.

    Example:
        >>> soft_order(torch.tensor([[0.0, 1.0]]), 0.01)[0].round(decimals=2)
        tensor([[0., 1.],
                [1., 0.]])
    """
    anchors = torch.linspace(1, 0, values.shape[-1], dtype=values.dtype, device=values.device)
    scores = -(values.unsqueeze(-2) - anchors.unsqueeze(-1)).square()
    return sinkhorn((scores if gumbel is None else scores + gumbel) / temperature, rounds)


def removed_first(order: Tensor, shares: Tensor) -> Tensor:
    """How much of each value is among the first of an order, ``(Q, B, N)``, from 0 to 1 but for rounding of `order`.

    Args:
        order: `soft_order`, ``(B, N, N)``.
        shares: Shares of the values that have gone, from 0 to 1, ``(Q,)``; between whole rows, linearly.
    """
    count = order.shape[-1]
    gone = torch.cat([torch.zeros_like(order[:, :1]), order.cumsum(1)], 1)  # (B, N + 1, N)
    place = (shares * count).clamp(0, count)
    below = place.floor().long().clamp(max=count - 1)
    part = (place - below).to(order.dtype).reshape(-1, 1, 1)
    return torch.lerp(gone[:, below].movedim(1, 0), gone[:, below + 1].movedim(1, 0), part)
