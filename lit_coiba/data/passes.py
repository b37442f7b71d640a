"""What a run goes through: a split of the data, and which of its images and blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lit_coiba.core.errors import check_count

Split = Literal["train", "val", "test", "predict"]
BatchSize = int | Literal["auto"]  # of a data module


@dataclass(frozen=True)
class Pass:
    """What the predict loop goes through.

    Args:
        split: Split that the images are taken from.
        limit: Number of images, chosen as the data module's `limit_order` says; None = all.
        blocks: Numbers of the blocks that are still to do; None = all.
        blocks_per_process: Number of neighbors in `blocks` that go to one process together.

    Raises:
        InputError: The limit is below 1.
    """

    split: Split = "predict"
    limit: int | None = None
    blocks: Sequence[int] | None = None
    blocks_per_process: int = 1

    def __post_init__(self) -> None:
        if self.limit is not None:
            check_count(limit=self.limit)
