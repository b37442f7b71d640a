"""Does a map lie on the object?"""

from torch import Tensor


def energy_inside(maps: Tensor, regions: Tensor) -> Tensor:
    """Positive attribution inside `regions` over all of it; ``(B, H, W)`` twice -> ``(B,)``, NaN where a map has none.

    Wang et al., Score-CAM, 2020, section 4.2. A uniform map scores the region's share of the area.
    """
    positive = maps.clamp_min(0)
    return (positive * regions).sum((-2, -1)) / positive.sum((-2, -1))
