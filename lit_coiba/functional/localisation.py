"""Does a map lie on the object?"""

import torch
from torch import Tensor
from torch.nn.functional import pad

ROUNDING = 4  # units in the last place: what resizing a map leaves of equal values


def energy_inside(maps: Tensor, regions: Tensor) -> Tensor:
    """Positive attribution inside `regions` over all of it; ``(B, H, W)`` twice -> ``(B,)``, NaN where a map has none.

    Wang et al., Score-CAM, 2020, section 4.2. A uniform map scores the region's share of the area.
    """
    positive = maps.clamp_min(0)
    return (positive * regions).sum((-2, -1)) / positive.sum((-2, -1))


def pointing_hit(maps: Tensor, regions: Tensor, tolerance: float = 0.0) -> Tensor:
    """1 where the largest value lies in the region or at most `tolerance` pixels from it, else 0; NaN without region.

    Zhang et al., "Top-down Neural Attention by Excitation Backprop", 2016 (arXiv 1608.00507); there the tolerance is
    15 pixels. Of equal maxima it is the share that hits: what drawing one of them at random scores on average.

    Args:
        maps: ``(B, H, W)``.
        regions: ``(B, H, W)``, bool.
        tolerance: Euclidean, between centers of pixels.

    Example:
        >>> pointing_hit(torch.tensor([[[0.1, 0.9, 0.3]]]), torch.tensor([[[False, False, True]]]), tolerance=1)
        tensor([1.])
    """
    highest = maps.amax((-2, -1), keepdim=True)
    peaks = maps >= highest - ROUNDING * torch.finfo(maps.dtype).eps * highest.abs()
    hits = (peaks & _around(regions, tolerance)).sum((-2, -1)).to(maps.dtype)
    return torch.where(regions.flatten(1).any(1), hits / peaks.sum((-2, -1)), torch.nan)


def relevance_rank(maps: Tensor, regions: Tensor) -> Tensor:
    """Share of the n highest pixels that lie in a region of n pixels; ``(B, H, W)`` twice -> ``(B,)``.

    Arras, Osman and Samek, "CLEVR-XAI", 2022 (arXiv 2003.07258): relevance rank accuracy. NaN without region. Of equal
    pixels, not all of which are among the n, each counts in part. A random map scores the region's share of the area.

    Example:
        >>> relevance_rank(torch.tensor([[[0.9, 0.5, 0.1, 0.2]]]), torch.tensor([[[True, False, True, False]]]))
        tensor([0.5000])
    """
    pixels, values, inside = regions.sum((-2, -1)), maps.flatten(1), regions.flatten(1)
    last = (pixels - 1).clamp_min(0).unsqueeze(1)
    lowest = values.sort(1, descending=True).values.gather(1, last)  # of the n highest
    above, level = values > lowest, values == lowest
    places = (pixels - above.sum(1)).to(maps.dtype)  # that are left for those at this level
    share = places * (level & inside).sum(1) / level.sum(1).clamp_min(1)
    return ((above & inside).sum(1) + share) / pixels


def _around(regions: Tensor, tolerance: float) -> Tensor:
    """Pixels ``(B, H, W)`` whose center is at most `tolerance` from that of a pixel of the region."""
    reach = int(min(tolerance, max(regions.shape[-2:])))
    if reach < 1:
        return regions
    found, padded = torch.zeros_like(regions), pad(regions, (reach, reach, reach, reach))
    for down in range(-reach, reach + 1):  # a row of the disk at a time
        wide = int((tolerance**2 - down**2) ** 0.5)
        rows = padded[..., reach + down : reach + down + regions.shape[-2], :].cumsum(-1)
        rows = pad(rows, (1, 0))
        first, last = reach - min(wide, reach), reach + min(wide, reach) + 1
        width = regions.shape[-1]
        found |= rows[..., last : last + width] > rows[..., first : first + width]
    return found
