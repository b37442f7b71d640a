"""A bounded sample of the rows of a stream, the same however the stream is cut into batches."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.functional import keyed_noise


class Rows(NamedTuple):
    """Rows and where they come from, in the order of the stream."""

    values: Tensor  # (N, c) float32 on the CPU
    images: Tensor  # (N,) int64: number of the image in the stream
    places: Tensor  # (N,) int64: crop or position in the image


class RowSample:
    """Keeps `limit` rows of all that it is given, each with the same probability; all of them where they are fewer.

    Args:
        limit: Number of rows to keep at most; that and one batch is what is held in memory.
        seed: Seed of the choice.
    """

    def __init__(self, limit: int, seed: int) -> None:
        self._limit, self._seed = limit, seed
        self._kept: Rows | None = None
        self._keys = torch.empty(0)

    def add(self, values: Tensor, numbers: Tensor) -> None:
        """Look at the rows of some images.

        Args:
            values: ``(B, P, c)``: P rows of each image.
            numbers: Number of each image in the stream ``(B,)``; none comes twice.
        """
        values = values.detach().float()
        count, places = values.shape[:2]
        ids = [str(number) for number in numbers.tolist()]
        keys = keyed_noise(self._seed, ids, "concept rows", (places,)).flatten()
        if self._kept is not None and len(self._keys) == self._limit:
            chosen = (keys < self._keys.max()).nonzero().flatten()
        else:
            chosen = torch.arange(len(keys))
        if not len(chosen):
            return
        new = Rows(
            values.flatten(0, 1)[chosen.to(values.device)].cpu(),
            numbers.cpu().repeat_interleave(places)[chosen],
            torch.arange(places).repeat(count)[chosen],
        )
        keys = keys[chosen]
        if self._kept is not None:
            new, keys = Rows(*(torch.cat(pair) for pair in zip(self._kept, new))), torch.cat([self._keys, keys])
        if len(keys) > self._limit:
            lowest = keys.argsort(stable=True)[: self._limit]
            new, keys = Rows(*(part[lowest] for part in new)), keys[lowest]
        self._kept, self._keys = new, keys

    def rows(self) -> Rows | None:
        """What was kept, by image and place; None = nothing was given."""
        if self._kept is None:
            return None
        stride = int(self._kept.places.max()) + 1
        order = (self._kept.images * stride + self._kept.places).argsort()
        return Rows(*(part[order] for part in self._kept))
