"""Precision: how many of the pixels that a map stresses most are evidence."""

from torch import Tensor

from lit_coiba.functional.ground_truth import precision
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.localisation.localisation import Localisation


class Precision(Localisation):
    """Share of the n pixels of largest magnitude that lie inside a region of n pixels.

    Clark, Wilming and Haufe, XAI-TRIS, 2023 (arXiv 2306.12816). 1 is best; a random map scores the region's share of
    the area. It is `RelevanceRank` without signs, for regions that are all the evidence there is. Of equal pixels, not
    all of which are among the n, each counts in part.

    Args:
        keep_samples: Whether every score is kept.

    Example:
        >>> import torch
        >>> maps, regions = torch.tensor([[[-0.9, 0.5, 0.1, 0.2]]]), torch.tensor([[[True, False, True, False]]])
        >>> Precision().score(maps, regions)
        tensor([0.5000])
    """

    card = MetricCard(
        "localisation",
        "Clark, Wilming and Haufe, XAI-TRIS, 2023 (arXiv 2306.12816)",
        higher_is_better=True,
        range="0 to 1; a random map: the region's share of the area",
        cost="none",
        undefined="the region is empty, or the map is not finite or 0 everywhere",
    )
    higher_is_better = card.higher_is_better

    def measure(self, maps: Tensor, regions: Tensor) -> Tensor:
        """Shares ``(B,)``."""
        return precision(maps, regions)
