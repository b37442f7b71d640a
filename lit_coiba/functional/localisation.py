"""Does a map lie on the object?"""

import torch
from torch import Tensor

from lit_coiba.functional.ranking import ranks


def energy_inside(maps: Tensor, regions: Tensor) -> Tensor:
    """Positive attribution inside `regions` over all of it; ``(B, H, W)`` twice -> ``(B,)``, NaN where a map has none.

    Wang et al., Score-CAM, 2020, section 4.2. A uniform map scores the region's share of the area.
    """
    positive = maps.clamp_min(0)
    return (positive * regions).sum((-2, -1)) / positive.sum((-2, -1))


def pointing_hit(maps: Tensor, regions: Tensor, tolerance: float = 0.0) -> Tensor:
    """1 where the largest value lies in the region or at most `tolerance` pixels from it, else 0; NaN without region.

    Zhang et al., "Top-down Neural Attention by Excitation Backprop", 2016 (arXiv 1608.00507); there the tolerance is
    15 pixels. Of equal maxima the first in row-major order counts.

    Args:
        maps: ``(B, H, W)``.
        regions: ``(B, H, W)``, bool.
        tolerance: Euclidean, between centers of pixels.

    Example:
        >>> pointing_hit(torch.tensor([[[0.1, 0.9, 0.3]]]), torch.tensor([[[False, False, True]]]), tolerance=1)
        tensor([1.])
    """
    width = maps.shape[-1]
    peaks = maps.flatten(1).argmax(1)[:, None, None]
    rows = torch.arange(maps.shape[-2], device=maps.device).unsqueeze(-1) - peaks // width
    columns = torch.arange(width, device=maps.device) - peaks % width
    near = rows.square() + columns.square() <= tolerance**2
    hit = (near & regions).flatten(1).any(1)
    return torch.where(regions.flatten(1).any(1), hit.to(maps.dtype), torch.nan)


def relevance_rank(maps: Tensor, regions: Tensor) -> Tensor:
    """Share of the n highest pixels that lie in a region of n pixels; ``(B, H, W)`` twice -> ``(B,)``.

    Arras, Osman and Samek, "CLEVR-XAI", 2022 (arXiv 2003.07258): relevance rank accuracy. NaN without region; of equal
    pixels the first in row-major order is higher. A random map scores the region's share of the area.

    Example:
        >>> relevance_rank(torch.tensor([[[0.9, 0.5, 0.1, 0.2]]]), torch.tensor([[[True, False, True, False]]]))
        tensor([0.5000])
    """
    pixels = regions.sum((-2, -1))
    highest = ranks(maps) < pixels[:, None, None]
    return (highest & regions).sum((-2, -1)).to(maps.dtype) / pixels
