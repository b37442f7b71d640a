"""Effective model parameter randomization test: does a map become more complex when the model is random?"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from lit_coiba.core.errors import check_count
from lit_coiba.functional.histogram import histogram_entropy
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.explaining import Explained, ExplainingMetric
from lit_coiba.metrics.randomization.random_layers import RandomLayers


class EffectiveModelRandomization(ExplainingMetric):
    """Relative rise of a map's complexity when all weights are initialized anew: (H_random - H) / H.

    Hedström, Weber, Lapuschkin and Höhne, "A Fresh Look at Sanity Checks for Saliency Maps", 2024 (arXiv 2401.06465). H
    is the entropy of the histogram of the map over its own range, at its native resolution (ours: enlarging a map
    changes H). Higher is better; a map that does not depend on the model scores 0, and so does one that is noise on any
    model: it rewards form and says nothing of faithfulness.

    Args:
        bins: Bins of the histogram (paper).
        seed: Seed of the new weights; see `RandomLayers` for what becomes of each layer.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: `bins` is below 2.
    """

    card = MetricCard(
        "randomization",
        "Hedström et al., 2024 (arXiv 2401.06465)",
        higher_is_better=True,
        range="-1 to infinity; 0 = does not depend on the model",
        cost="2 explanations, and 1 forward",
        undefined="a map is not finite or constant, on the trained or on the random model",
    )
    higher_is_better = card.higher_is_better

    def __init__(self, bins: int = 100, seed: int = 0, keep_samples: bool = False) -> None:
        super().__init__(keep_samples)
        check_count(2, bins=bins)
        self.bins = bins
        self.seed = seed

    def measure(self, explained: Explained, maps: Tensor, ids: Sequence[str]) -> Tensor:
        """Relative rises ``(B,)``."""
        random = RandomLayers(explained.model, 1, seed=self.seed).everything()
        before = histogram_entropy(explained.clean, self.bins)
        return (histogram_entropy(explained.maps(explained.images, random), self.bins) - before) / before
