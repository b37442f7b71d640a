"""How alike two maps are: structural similarity, and distances in [0, 1]."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from lit_coiba.functional.correlation import spearman
from lit_coiba.functional.precise import fp64_where_possible, precise

Distance = Literal["sqrt", "linear", "l1", "l2", "ssim"]

WINDOW = 7  # pixels of the window of `ssim`, scikit-image's
ROUNDING = 1e-14  # of a correlation; that of two different orders of 224 x 224 pixels is farther from 1
_LUMINANCE, _CONTRAST = 0.01, 0.03  # the constants of Wang et al., 2004


def ssim(first: Tensor, second: Tensor, data_range: float = 1.0) -> Tensor:
    """Structural similarity of two maps ``(B, h, w)``, mean over all windows that lie inside; ``(B,)`` in [-1, 1].

    Wang, Bovik, Sheikh and Simoncelli, 2004, with a uniform window of 7 pixels and unbiased variances, as scikit-image
    has it; of a map that is smaller, the window is the largest odd one that fits.

    Args:
        first: Maps.
        second: Maps of the same shape.
        data_range: Largest difference of two values.

    Example:
        >>> map = torch.arange(9.0).view(1, 3, 3) / 8
        >>> ssim(map, map)
        tensor([1.], dtype=torch.float64)
    """
    side = min(WINDOW, *first.shape[-2:])
    side -= 1 - side % 2
    a, b = fp64_where_possible(first), fp64_where_possible(second)
    moments = torch.stack([a, b, a * a, b * b, a * b], 1)
    mean_a, mean_b, aa, bb, ab = avg_pool2d(moments, side, 1).unbind(1)
    unbiased = side**2 / max(1, side**2 - 1)
    var_a, var_b = unbiased * (aa - mean_a**2), unbiased * (bb - mean_b**2)
    both = unbiased * (ab - mean_a * mean_b)
    c1, c2 = (_LUMINANCE * data_range) ** 2, (_CONTRAST * data_range) ** 2
    over = (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return ((2 * mean_a * mean_b + c1) * (2 * both + c2) / over).mean((-2, -1))


def by_largest(maps: Tensor) -> Tensor:
    """|map| over its largest value, in [0, 1]; ``(B, h, w)``, NaN where a map is 0 everywhere.

    Example:
        >>> by_largest(torch.tensor([[[-2.0, 1.0]]]))
        tensor([[[1.0000, 0.5000]]])
    """
    sizes = precise(maps).abs()
    return sizes / sizes.amax((-2, -1), keepdim=True)


def stretched(maps: Tensor) -> Tensor:
    """Maps ``(B, h, w)`` with their range on [0, 1]; NaN where a map is constant.

    Example:
        >>> stretched(torch.tensor([[[-2.0, 2.0, 0.0]]]))
        tensor([[[0.0000, 1.0000, 0.5000]]])
    """
    values = precise(maps)
    low, high = values.amin((-2, -1), keepdim=True), values.amax((-2, -1), keepdim=True)
    return (values - low) / (high - low)


def map_distance(first: Tensor, second: Tensor, distance: Distance = "sqrt") -> Tensor:
    """Distance of two maps in [0, 1]; ``(B, h, w)`` twice -> ``(B,)`` fp64, NaN where a map is constant or not finite.

    Args:
        first: Maps.
        second: Maps of the same shape.
        distance: ``sqrt`` = sqrt(1 - abs(rho)) of Spearman's rho, as Xplique has it; ``linear`` = 1 - abs(rho); of maps
            stretched to [0, 1]: ``l1`` = mean absolute difference, ``l2`` = root of the mean square, ``ssim`` = (1 -
            structural similarity) / 2.

    Example:
        >>> map = torch.tensor([[[1.0, 2.0, 4.0]]])
        >>> map_distance(map, -map)
        tensor([0.], dtype=torch.float64)
    """
    if distance in ("sqrt", "linear"):
        apart = 1 - spearman(first.flatten(1), second.flatten(1)).abs()
        apart = apart.masked_fill(apart < ROUNDING, 0)  # whose root would be seen
        return apart.sqrt() if distance == "sqrt" else apart
    a, b = fp64_where_possible(stretched(first)), fp64_where_possible(stretched(second))
    if distance == "ssim":
        return (1 - ssim(a, b)) / 2
    return (a - b).abs().mean((-2, -1)) if distance == "l1" else (a - b).square().mean((-2, -1)).sqrt()
