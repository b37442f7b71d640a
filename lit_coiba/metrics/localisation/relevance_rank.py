"""Relevance rank: how many of the highest pixels lie on the object."""

from torch import Tensor

from lit_coiba.functional import relevance_rank
from lit_coiba.metrics.metric import Localisation


class RelevanceRank(Localisation):
    """Share of the n highest pixels that lie inside an object of n pixels.

    Arras, Osman and Samek, "CLEVR-XAI", 2022 (arXiv 2003.07258). 1 is best; a random map scores the region's share of
    the area. Of equal pixels the first in row-major order is higher.

    Args:
        keep_samples: Also keep every score.

    Example:
        >>> import torch
        >>> maps, regions = torch.tensor([[[0.9, 0.5, 0.1, 0.2]]]), torch.tensor([[[True, False, True, False]]])
        >>> RelevanceRank().score(maps, regions)
        tensor([0.5000])
    """

    higher_is_better = True

    def measure(self, maps: Tensor, regions: Tensor) -> Tensor:
        """Shares ``(B,)``."""
        return relevance_rank(maps, regions)
