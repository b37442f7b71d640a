"""A family of its own: how much of a map's energy is in its largest value, and how sure the model is of the target."""

from typing import ClassVar

from lit_coiba.metrics.metric import Metric


class MyMetric(Metric):
    """Share of the largest value.

    Args:
        offset: Added to each score.
        keep_samples: Whether every score is kept as well.
    """

    higher_is_better = True
    needs: ClassVar[frozenset[str]] = frozenset({"maps", "targets"})

    def __init__(self, offset: float = 0.0, keep_samples: bool = False) -> None:
        super().__init__(keep_samples)
        self.offset = offset

    def score(self, maps):
        flat = maps.abs().flatten(1)
        return flat.amax(1) / flat.sum(1) + self.offset

    def score_batch(self, batch):
        return self.score(batch.maps)

    def update(self, maps):
        self._add(self.score(maps))
