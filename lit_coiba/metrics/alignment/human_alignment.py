"""Human alignment: do a map and people rank the pixels alike?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_coiba.core.errors import check_positive
from lit_coiba.functional import spearman
from lit_coiba.metrics.alignment.alignment import Alignment
from lit_coiba.metrics.batch import ScoredBatch
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.maps import checked_maps, constant

CONSTANT = "/constant"  # of the name of what is kept beside the scores


class HumanAlignment(Alignment):
    """Spearman's rank correlation of a map with the smoothed map of people, over the pixels of the model's input.

    Fel et al., "Harmonizing the object recognition strategies of deep neural networks with humans", 2022 (arXiv
    2211.04533), who score saliency, the largest absolute gradient over the channels (`Saliency`). The score is divided
    by a ceiling, if one is given: theirs for ClickMe is 0.65753, and `alignment_ceiling` has that of other data with
    several participants. Chance is about 0. A map that is the same everywhere ranks nothing: it scores 0, and is
    counted in `constants`. Alignment is not reliance: see `MarkedReliance`.

    Smoothing has zeros outside, as in their code, so smoothed maps are darker along the border, and a map of the center
    correlates with any of them, even of noise: compare with the row `Center`, or do not smooth.

    Args:
        ceiling: What people reach among one another; None = 1, so that the score is the correlation itself.
        smooth: Whether people's maps are smoothed first.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: The ceiling is not above 0.

    Example:
        >>> maps, people = torch.tensor([[[0.1, 0.2], [0.3, 0.9]]]), torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
        >>> HumanAlignment(smooth=False).score(maps, people), HumanAlignment(0.5, smooth=False).score(-maps, people)
        (tensor([1.]), tensor([-2.]))
    """

    card = MetricCard(
        "alignment",
        "Fel et al., 2022 (arXiv 2211.04533)",
        higher_is_better=True,
        range="-1 to 1; with a ceiling also beyond",
        cost="none",
        undefined="people's map is unknown or the same everywhere, or the map is not finite",
    )
    higher_is_better = card.higher_is_better

    constants: Tensor  # () int64: how many scores are 0 because the map is the same everywhere

    def __init__(self, ceiling: float | None = None, smooth: bool = True, keep_samples: bool = False) -> None:
        super().__init__(smooth, keep_samples)
        if ceiling is not None:
            check_positive(ceiling=ceiling)
        self.ceiling = ceiling
        self.add_state("constants", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def measure(self, maps: Tensor, importances: Tensor) -> Tensor:
        """Correlations ``(B,)``, over the ceiling."""
        found = spearman(maps.flatten(1), importances.flatten(1)) / (self.ceiling or 1.0)
        return found.masked_fill(constant(maps), 0.0).to(maps.dtype)

    def details(self, batch: ScoredBatch) -> dict[str, Tensor]:
        """Scores, and which of them are 0 because the map is the same everywhere, 1 or 0."""
        scores = self.score_batch(batch)
        return {"": scores, CONSTANT: _flat(batch.maps, scores).to(scores.dtype)}

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Add a batch; the arguments are those of `score`."""
        scores = self.score(*args, **kwargs)
        self._add(scores)
        maps: Tensor = kwargs["maps"] if "maps" in kwargs else args[0]
        self.constants = self.constants + _flat(maps, scores).sum().to(self.constants.device)


def _flat(maps: Tensor, scores: Tensor) -> Tensor:
    """Which maps are the same everywhere and have a score, ``(B,)``."""
    return constant(checked_maps(maps, len(scores))).to(scores.device) & ~scores.isnan()
