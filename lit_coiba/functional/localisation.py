"""Does a map lie on the object?"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from lit_coiba.functional.maps import resize_map
from lit_coiba.functional.ranking import cell_values

ROUNDING = 4  # units in the last place: what resizing a map leaves of equal values
CUT = 0.1  # of the heat of a map that counts, in the authors' code of EHR
DECILES = 10  # steps between thresholds, in the authors' code of EHR


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
    return _highest_inside(maps, regions, regions.sum((-2, -1)))


def highest_share(maps: Tensor, regions: Tensor, share: float) -> Tensor:
    """Share of the highest pixels, `share` of all, that lie in the region; ``(B, H, W)`` twice -> ``(B,)``.

    Of equal pixels, not all of which are among them, each counts in part. At least one pixel is looked at.

    Args:
        maps: ``(B, H, W)``.
        regions: ``(B, H, W)``, bool.
        share: Share of all pixels that counts as highest, above 0 to 1.

    Example:
        >>> highest_share(torch.tensor([[[0.9, 0.5, 0.1, 0.2]]]), torch.tensor([[[True, False, True, False]]]), 0.25)
        tensor([1.])
    """
    pixels = max(round(share * maps[0].numel()), 1) if len(maps) else 1
    return _highest_inside(maps, regions, torch.full((len(maps),), pixels, device=maps.device))


def effective_heat_ratio(maps: Tensor, regions: Tensor, weighted: bool = True) -> Tensor:
    """How much of what is left of a map above rising thresholds lies in the region; ``(B, H, W)`` twice -> ``(B,)``.

    Zhang et al., "Fine-Grained Neural Network Explanation by Identifying Input Features with Predictive Information",
    2021 (arXiv 2110.01471): EHR. The map is scaled to [0, 1], and below 0.1 it is 0; the thresholds are the deciles of
    the rest; the ratio is the area under the curve over them. A constant map scores the region's share of the area.

    Args:
        maps: ``(B, H, W)``.
        regions: ``(B, H, W)``, bool.
        weighted: Whether the pixels of the region count by their heat, as in the authors' code, where a map that is
            graded inside the region scores below 1; else each counts as one.

    Example:
        >>> effective_heat_ratio(torch.tensor([[[1.0, 0.5, 0.0]]]), torch.tensor([[[True, True, False]]]), False)
        tensor([1.])
    """
    flat, inside = maps.flatten(1), regions.flatten(1)
    low, high = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
    heat = torch.where(high > low, (flat - low) / (high - low), torch.ones_like(flat))
    hot = heat >= CUT
    heat = torch.where(hot, heat, 0)
    ordered, count = heat.sort(1).values, hot.sum(1, keepdim=True)  # the hot pixels are the last ones
    weights, ratios = heat if weighted else torch.ones_like(heat), []
    for tenth in range(DECILES + 1):
        # whole numbers: a place that rounding moves past a pixel would leave that pixel out
        place, rest = (count - 1) * tenth // DECILES, (count - 1) * tenth % DECILES
        first = heat.shape[1] - count
        lower, upper = ordered.gather(1, first + place), ordered.gather(1, first + place + (rest > 0))
        threshold = (lower + (upper - lower) * rest / DECILES).clamp_max(0.99)
        left = heat >= threshold
        ratios.append((weights * (left & inside)).sum(1) / left.sum(1))
    curve = torch.stack(ratios, 1)
    return (curve[:, :-1] + curve[:, 1:]).mean(1) / 2


def oracle_ceiling(regions: Tensor, grid: tuple[int, int]) -> Tensor:
    """`energy_inside` of the region itself as a map of a few cells, ``(B, H, W)`` -> ``(B,)``: what a method can reach.

    A map of few cells is enlarged bilinearly, which carries its values across the border of a region: a true one scores
    below 1 too, the less the coarser it is. Scores of maps at different resolutions are to be held against this.

    Args:
        regions: ``(B, H, W)``, bool.
        grid: Height and width of the method's maps, in cells.

    Example:
        >>> halves = torch.tensor([[[True] * 32 + [False] * 32]])
        >>> [round(float(oracle_ceiling(halves, (1, cells))), 3) for cells in (2, 8, 64)]
        [0.875, 0.969, 1.0]
    """
    shares = cell_values(regions.to(torch.get_default_dtype()), grid)
    return energy_inside(resize_map(shares, (regions.shape[-2], regions.shape[-1])), regions)


def _highest_inside(maps: Tensor, regions: Tensor, pixels: Tensor) -> Tensor:
    """Share of the highest pixels of each map, `pixels` ``(B,)`` of them, that lie in the region."""
    values, inside = maps.flatten(1), regions.flatten(1)
    last = (pixels - 1).clamp_min(0).unsqueeze(1)
    lowest = values.sort(1, descending=True).values.gather(1, last)  # of the highest
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
