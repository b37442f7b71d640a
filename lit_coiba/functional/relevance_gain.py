"""Symmetric relevance gain: the area between removing the least and removing the most important parts first."""

from __future__ import annotations

import torch
from torch import Tensor


def relevance_gain(lif: Tensor, mif: Tensor, lif_places: Tensor, mif_places: Tensor) -> Tensor:
    """Area under `lif` less the area under `mif`, ``(B,)``, by the trapezoid rule over what has really been removed.

    Bluecher, Vielhaben and Strodthoff, 2024 (arXiv 2401.06654). Both curves begin at the image and end at the empty
    image; where an end has the same weight in both it cancels, and may be NaN (a model may have no score without any
    part).

    Args:
        lif: Scores while the least important are removed first, ``(B, K + 1)``.
        mif: Scores while the most important are removed first.
        lif_places: Share of the image that has been removed, from 0 to 1, ``(B, K + 1)``.
        mif_places: The same for `mif`.

    Example:
        >>> lif, mif = torch.tensor([[1.0, 0.9, 0.0]]), torch.tensor([[1.0, 0.1, 0.0]])
        >>> relevance_gain(lif, mif, torch.tensor([[0.0, 0.5, 1.0]]), torch.tensor([[0.0, 0.5, 1.0]]))
        tensor([0.4000])
    """
    more, less = trapezoid_weights(lif_places), trapezoid_weights(mif_places)
    inner = (more * lif)[:, 1:-1].sum(1) - (less * mif)[:, 1:-1].sum(1)
    left = (more - less)[:, [0, -1]]
    left = torch.where(left.abs() < 1e-9, 0, left * mif[:, [0, -1]])  # 1e-9: rounding of shares
    return inner + left.sum(1)


def trapezoid_weights(places: Tensor) -> Tensor:
    """Weight of each point in the trapezoid rule over `places` ``(B, K + 1)``, ascending.

    Example:
        >>> trapezoid_weights(torch.tensor([[0.0, 0.5, 1.0]]))
        tensor([[0.2500, 0.5000, 0.2500]])
    """
    half = places.diff(dim=1) / 2
    nothing = torch.zeros_like(half[:, :1])
    return torch.cat([half, nothing], 1) + torch.cat([nothing, half], 1)
