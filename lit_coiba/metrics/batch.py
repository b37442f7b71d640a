"""What metrics score: one batch of explanations with everything that is known of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from lit_coiba.core.targets import Resolved, Targets
from lit_coiba.metrics.shared import Shared

if TYPE_CHECKING:
    from lit_coiba.metrics.metric import Metric

Model = Callable[[Tensor], Any]  # normalized images (B, C, H, W) -> logits (B, K), or what a target finds its output in
Explain = Callable[[Any, Tensor, Targets], Tensor]  # model, images (B, C, H, W), targets -> maps (B, h, w)


class TakenBaseline(NamedTuple):
    """What takes the place of removed parts, in words."""

    asked: str  # as the user said it, auto too
    taken: str  # what that is for the model

    @property
    def automatic(self) -> bool:
        """Whether the metric chose it."""
        return self.asked == "auto"


def taken_baselines(metrics: Mapping[str, Metric], model: Any) -> dict[str, TakenBaseline]:
    """metric -> what takes the place of removed parts, of those that remove any.

    Args:
        metrics: The metrics by their names.
        model: The model.
    """
    found = {name: metric.taken_baseline(model) for name, metric in metrics.items()}
    return {name: taken for name, taken in found.items() if taken is not None}


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
    suppressors: Tensor | None = None  # (R, H, W) bool: what is no evidence, but of use to a model; empty = not known
    importances: Tensor | None = None  # (R, H, W): where people say the evidence is, not smoothed; NaN = not known
    method: Explain | None = None  # what made the maps, for metrics that explain again
    shared: Shared = field(default_factory=Shared)  # what other metrics and other maps of the same rows have computed

    def __len__(self) -> int:
        return len(self.maps)

    def lacking(self, needs: Collection[str]) -> list[str]:
        """Those of `needs` that are not known for this batch."""
        return [name for name in sorted(needs) if getattr(self, name) is None]


INGREDIENTS = tuple(part.name for part in fields(ScoredBatch))
