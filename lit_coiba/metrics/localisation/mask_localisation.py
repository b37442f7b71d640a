"""Mask localisation: how many of a map's highest pixels lie on the object."""

from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.functional import highest_share
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.localisation.localisation import Localisation


class MaskLocalisation(Localisation):
    """Share of the highest tenth of the pixels that lies inside the object.

    CaBRNet's relevance of prototypes (Xu-Darme et al., 2024, arXiv 2409.16693), where the share is a percentage of the
    area. 1 is best, and can only be had if the object covers as much; a random map scores the region's share of the
    area. Of equal pixels, not all of which are among the highest, each counts in part.

    Args:
        share: Share of all pixels that counts as highest.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: The share is not above 0 and at most 1.

    Example:
        >>> import torch
        >>> maps, regions = torch.tensor([[[0.9, 0.5, 0.1, 0.2]]]), torch.tensor([[[True, False, True, False]]])
        >>> MaskLocalisation(0.25).score(maps, regions), MaskLocalisation(0.5).score(maps, regions)
        (tensor([1.]), tensor([0.5000]))
    """

    card = MetricCard(
        "localisation",
        "Xu-Darme et al., CaBRNet, 2024 (arXiv 2409.16693)",
        higher_is_better=True,
        range="0 to 1",
        cost="none",
        undefined="the region is empty or the map is not finite",
    )
    higher_is_better = card.higher_is_better

    def __init__(self, share: float = 0.1, keep_samples: bool = False) -> None:
        super().__init__(keep_samples)
        if not 0 < share <= 1:
            raise InputError(f"share is {share}: give a share of the pixels, above 0 and at most 1")
        self.share = share

    def measure(self, maps: Tensor, regions: Tensor) -> Tensor:
        """Shares ``(B,)``."""
        return highest_share(maps, regions, self.share)
