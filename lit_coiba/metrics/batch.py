"""What metrics score: one batch of explanations with everything that is known of them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

from lit_coiba.core.targets import Resolved

Model = Callable[[Tensor], Any]  # normalized images (B, C, H, W) -> logits (B, K), or what a target finds its output in


@dataclass(frozen=True, eq=False)
class ScoredBatch:
    """Explanations, a row for each of R; None = not known.

    A metric names the fields that it needs in `Metric.needs`. A new ingredient of metrics is a new field.
    """

    model: Model
    images: Tensor  # (R, C, H, W), normalized model input
    targets: Resolved  # what is explained, R rows
    maps: Tensor  # (R, h, w), at any resolution
    ids: tuple[str, ...]  # R sample ids
    regions: Tensor | None = None  # (R, H, W) bool: where the objects are; empty where that is not known

    def __len__(self) -> int:
        return len(self.maps)

    def lacking(self, needs: Collection[str]) -> list[str]:
        """Those of `needs` that are not known for this batch."""
        return [name for name in sorted(needs) if getattr(self, name) is None]


INGREDIENTS = tuple(field.name for field in fields(ScoredBatch))
