"""Relevance rank: how many of the highest pixels lie on the object."""

from torch import Tensor

from lit_coiba.functional import relevance_rank
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.localisation.localisation import Localisation


class RelevanceRank(Localisation):
    """Share of the n highest pixels that lie inside an object of n pixels.

    Arras, Osman and Samek, "CLEVR-XAI", 2022 (arXiv 2003.07258). 1 is best; a random map scores the region's share of
    the area. Of equal pixels, not all of which are among the n, each counts in part.

    Args:
        keep_samples: Whether every score is kept.

    Example:
        >>> import torch
        >>> maps, regions = torch.tensor([[[0.9, 0.5, 0.1, 0.2]]]), torch.tensor([[[True, False, True, False]]])
        >>> RelevanceRank().score(maps, regions)
        tensor([0.5000])
    """

    card = MetricCard(
        "localisation",
        "Arras, Osman and Samek, CLEVR-XAI, 2022 (arXiv 2003.07258)",
        higher_is_better=True,
        range="0 to 1",
        cost="none",
        undefined="the region is empty or the map is not finite",
    )
    higher_is_better = card.higher_is_better

    def measure(self, maps: Tensor, regions: Tensor) -> Tensor:
        """Shares ``(B,)``."""
        return relevance_rank(maps, regions)
