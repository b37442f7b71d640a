"""Effective heat ratio: how much of what is left of a map above rising thresholds lies on the object."""

from torch import Tensor

from lit_coiba.functional import effective_heat_ratio
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.localisation.localisation import Localisation


class EffectiveHeatRatio(Localisation):
    """Share of the pixels above the deciles of a map that lie inside the object, by their heat or each as one: EHR.

    Zhang et al., 2021 (arXiv 2110.01471), section 4.4, with the settings of the authors' code: the map is scaled to [0,
    1], what is below 0.1 is left out, and the ratio is the area under the curve over the 11 thresholds. A constant map
    scores the region's share of the area. Report both variants: by heat, a map that is flat inside the object beats one
    that is graded there.

    Args:
        weighted: Whether the pixels inside count by their heat, as in the authors' code; else each counts as one.
        keep_samples: Whether every score is kept.

    Example:
        >>> import torch
        >>> maps, regions = torch.tensor([[[1.0, 0.5, 0.0]]]), torch.tensor([[[True, True, False]]])
        >>> EffectiveHeatRatio().score(maps, regions), EffectiveHeatRatio(weighted=False).score(maps, regions)
        (tensor([0.9875]), tensor([1.]))
    """

    card = MetricCard(
        "localisation",
        "Zhang et al., Fine-Grained Neural Network Explanation (InputIBA), 2021 (arXiv 2110.01471)",
        higher_is_better=True,
        range="0 to 1",
        cost="none",
        undefined="the region is empty or the map is not finite",
    )
    higher_is_better = card.higher_is_better

    def __init__(self, weighted: bool = True, keep_samples: bool = False) -> None:
        super().__init__(keep_samples)
        self.weighted = weighted

    def measure(self, maps: Tensor, regions: Tensor) -> Tensor:
        """Ratios ``(B,)``."""
        return effective_heat_ratio(maps, regions, self.weighted)
