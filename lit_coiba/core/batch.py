"""A block of samples on its way through a module."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Failure(NamedTuple):
    """A sample that could not be explained, and why, in one sentence."""

    id: str
    reason: str

    @classmethod
    def of(cls, name: str, error: Exception) -> Failure:
        """The failure of a sample, with the first line of an error as the reason."""
        lines = str(error).strip().splitlines()
        if not lines:
            return cls(name, type(error).__name__)
        return cls(
            name, lines[0] if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: {lines[0]}"
        )


class Batch(NamedTuple):
    """One block of samples: what a data module of this project yields when a dataset is explained."""

    images: Tensor  # (B, 3, H, W) normalized model input
    ids: tuple[str, ...]  # B stable sample ids
    labels: Tensor  # (B,) int64; -1 = no label
    block: int  # number of the block in the dataset
    failures: tuple[Failure, ...] = ()  # samples of this block that could not be read
