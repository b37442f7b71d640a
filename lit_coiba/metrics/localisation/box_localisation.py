"""Box localisation: how many of the highest pixels lie in a small box."""

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.functional import relevance_rank
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.localisation.localisation import Localisation


class BoxLocalisation(Localisation):
    """Share of the n highest pixels that lie inside a box of n pixels, on images whose box is small.

    Schulz et al., "Restricting the Flow", 2020 (arXiv 2001.00396), section 4.3: `RelevanceRank` where the box covers
    less than a third of the image, since a large one is hit by chance.

    Args:
        max_area: Share of the image from which on a box is too large.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: The share is not above 0 and at most 1.

    Example:
        >>> import torch
        >>> maps = torch.tensor([[[0.9, 0.5, 0.1, 0.2]]]).expand(2, 1, 4)
        >>> regions = torch.tensor([[[True, False, False, False]], [[True, True, False, False]]])
        >>> BoxLocalisation().score(maps, regions)
        tensor([1., nan])
    """

    card = MetricCard(
        "localisation",
        "Schulz et al., Restricting the Flow (IBA), 2020 (arXiv 2001.00396)",
        higher_is_better=True,
        range="0 to 1",
        cost="none",
        undefined="the region is empty or covers max_area of the image or more, or the map is not finite",
    )
    higher_is_better = card.higher_is_better

    def __init__(self, max_area: float = 0.33, keep_samples: bool = False) -> None:
        super().__init__(keep_samples)
        if not 0 < max_area <= 1:
            raise InputError(f"max_area is {max_area}: give a share of the image, above 0 and at most 1")
        self.max_area = max_area

    def measure(self, maps: Tensor, regions: Tensor) -> Tensor:
        """Shares ``(B,)``; NaN where the region is too large."""
        large = regions.double().mean((-2, -1)) >= self.max_area
        return relevance_rank(maps, regions).masked_fill(large, torch.nan)
