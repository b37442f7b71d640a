"""Scores while the most, and while the least, important parts of an image are removed first."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.functional import ranks, shares_removed
from lit_coiba.metrics.faithfulness.cells import Cells
from lit_coiba.metrics.faithfulness.removal import Removal


class BothOrders(NamedTuple):
    """Two curves from the image to the empty image, with the share of the image that is gone at each point."""

    mif: Tensor  # (B, K + 1): most important first
    lif: Tensor  # (B, K + 1): least important first
    mif_places: Tensor  # (B, K + 1) fp64, from 0 to 1
    lif_places: Tensor  # (B, K + 1)


def both_orders(removal: Removal, cells: Cells, values: Tensor, counts: Tensor) -> BothOrders:
    """Remove cells in the order of `values`, the first of equal ones first, and in exactly the reverse of that order.

    The ends are shared, and the empty image with all maps: K steps cost 2 K images.

    Args:
        removal: The images.
        cells: Their cells.
        values: Importance of each cell ``(B, n)``; -inf where an image has no such cell.
        counts: Cells that are gone at each point ``(B, K + 1)``, from 0 to all.
    """
    places, total, inner = ranks(values), counts[:, -1:], counts[:, 1:-1]
    steps = inner.shape[1]

    def removed(rows: Tensor, copies: Tensor) -> Tensor:
        count = inner[rows, copies % steps].unsqueeze(1)
        of_each = places[rows]
        last = of_each >= total[rows] - count
        return torch.where((copies < steps).unsqueeze(1), of_each < count, last)

    found = removal.cell_scores(2 * steps, cells.numbers, removed)
    start, end = removal.clean.unsqueeze(1), removal.empty().unsqueeze(1)
    gone = shares_removed(places, cells.shares, counts)
    kept = shares_removed(places, cells.shares, total - counts)
    return BothOrders(
        torch.cat([start, found[:, :steps], end], 1), torch.cat([start, found[:, steps:], end], 1), gone, 1 - kept
    )
