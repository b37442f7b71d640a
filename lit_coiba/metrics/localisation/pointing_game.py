"""Pointing game: does a map's highest pixel lie on the object?"""

from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.functional import pointing_hit
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.localisation.localisation import Localisation


class PointingGame(Localisation):
    """1 where the highest pixel lies on the object, else 0.

    Zhang et al., "Top-down Neural Attention by Excitation Backprop", 2016 (arXiv 1608.00507). Of equal maxima it
    is the share that hits. `compute` is the mean over samples; the paper averages per class first.

    Args:
        tolerance: Pixels by which a hit may miss, at the resolution of the regions; 15 in the paper.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: A negative tolerance.

    Example:
        >>> import torch
        >>> maps, regions = torch.tensor([[[0.1, 0.9, 0.3]]]), torch.tensor([[[False, False, True]]])
        >>> PointingGame().score(maps, regions), PointingGame(tolerance=1).score(maps, regions)
        (tensor([0.]), tensor([1.]))
    """

    card = MetricCard(
        "localisation",
        "Zhang et al., Excitation Backprop, 2016 (arXiv 1608.00507)",
        higher_is_better=True,
        range="0 or 1; between them where equal maxima hit and miss",
        cost="none",
        undefined="the region is empty or the map is not finite",
    )
    higher_is_better = card.higher_is_better

    def __init__(self, tolerance: float = 0.0, keep_samples: bool = False) -> None:
        super().__init__(keep_samples)
        if not tolerance >= 0:
            raise InputError(f"tolerance is {tolerance}: give a number of pixels, 0 or more")
        self.tolerance = tolerance

    def measure(self, maps: Tensor, regions: Tensor) -> Tensor:
        """0 or 1, ``(B,)``."""
        return pointing_hit(maps, regions, self.tolerance)
