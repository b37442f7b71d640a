"""Energy pointing beyond chance: how much more of a map lies on the object than of a uniform one."""

from torch import Tensor

from lit_coiba.functional import energy_inside
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.localisation.localisation import Localisation


class EnergyGain(Localisation):
    """Share of a map's positive attribution that lies inside the object, less the object's share of the area.

    `EnergyPointing` of a uniform map is the share of the area, which differs from dataset to dataset; this is 0 for it
    everywhere (ours). 1 less the share of the area is best.

    Args:
        keep_samples: Whether every score is kept.

    Example:
        >>> import torch
        >>> maps, regions = torch.tensor([[[3.0, 1.0]]]), torch.tensor([[[True, False]]])
        >>> EnergyGain().score(maps, regions)
        tensor([0.2500])
    """

    card = MetricCard(
        "localisation",
        "of the energy: Wang et al., Score-CAM, 2020 (arXiv 1910.01279); less the area: ours",
        higher_is_better=True,
        range="-1 to 1; 0 for a uniform map",
        cost="none",
        undefined="the region is empty, the map is not finite, or it has no positive attribution",
    )
    higher_is_better = card.higher_is_better

    def measure(self, maps: Tensor, regions: Tensor) -> Tensor:
        """Differences ``(B,)``; NaN where there is no positive attribution."""
        return energy_inside(maps, regions) - regions.to(maps.dtype).mean((-2, -1))
