"""Energy pointing: how much of a map lies on the object."""

from torch import Tensor

from lit_coiba.functional import energy_inside
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.localisation.localisation import Localisation


class EnergyPointing(Localisation):
    """Share of a map's positive attribution that lies inside the object.

    Wang et al., Score-CAM, 2020 (arXiv 1910.01279), section 4.2. 1 is best; a uniform map scores the region's share of
    the area; a map without positive attribution has no score.

    Args:
        keep_samples: Whether every score is kept.

    Example:
        >>> import torch
        >>> maps, regions = torch.tensor([[[3.0, 1.0]]]), torch.tensor([[[True, False]]])
        >>> EnergyPointing().score(maps, regions)
        tensor([0.7500])
    """

    card = MetricCard(
        "localisation",
        "Wang et al., Score-CAM, 2020 (arXiv 1910.01279)",
        higher_is_better=True,
        range="0 to 1",
        cost="none",
        undefined="the region is empty, the map is not finite, or it has no positive attribution",
    )
    higher_is_better = card.higher_is_better

    def measure(self, maps: Tensor, regions: Tensor) -> Tensor:
        """Shares ``(B,)``; NaN where there is no positive attribution."""
        return energy_inside(maps, regions)
