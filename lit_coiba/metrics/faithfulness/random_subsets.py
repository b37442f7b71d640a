"""Random subsets of exactly n parts of an image, keyed by the sample, which no map decides."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lit_coiba.functional import keyed_orders

KEPT = 2**24  # numbers of random orders that are kept at a time: 128 MiB


class RandomSubsets:
    """Random orders of the parts of each image, whose first n are the subsets.

    Args:
        seed: Seed of the draws.
        ids: B ids of samples.
        name: What they are for.
        draws: Number of orders of each image.
        units: Number of parts.
        device: Where they are needed.
    """

    def __init__(self, seed: int, ids: Sequence[str], name: str, draws: int, units: int, device: torch.device) -> None:
        self._key = (seed, name)
        self._ids = ids
        self._shape = (draws, units)
        self._device = device
        self._made: dict[int, Tensor] = {}

    def places(self, row: int) -> Tensor:
        """Place of each part in the orders of an image, int64 ``(draws, units)``; made again where it was dropped."""
        if row not in self._made:
            if (len(self._made) + 1) * self._shape[0] * self._shape[1] > KEPT:
                self._made.clear()
            seed, name = self._key
            self._made[row] = keyed_orders(seed, self._ids[row], name, *self._shape).to(self._device)
        return self._made[row]

    def first(self, rows: Tensor, draws: Tensor, sizes: Tensor) -> Tensor:
        """Which parts are among the first ``sizes`` of an order, bool ``(n, units)``.

        Args:
            rows: Number of the image, ``(n,)``.
            draws: Number of the order, ``(n,)``.
            sizes: How many come first, ``(n,)``.
        """
        found = torch.zeros(len(rows), self._shape[1], dtype=torch.bool, device=self._device)
        for row in rows.unique().tolist():
            of_row = (rows == row).nonzero()[:, 0]
            found[of_row] = self.places(row)[draws[of_row]] < sizes[of_row].unsqueeze(1)
        return found
