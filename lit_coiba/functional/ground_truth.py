"""Does a map find the evidence that is there by construction, and nothing else?

Clark, Wilming and Haufe, XAI-TRIS, 2023 (arXiv 2306.12816); suppressors: Haufe et al., 2014.
"""

import torch
from torch import Tensor

from lit_coiba.functional.localisation import energy_inside, relevance_rank
from lit_coiba.functional.ranking import cell_values


def precision(maps: Tensor, regions: Tensor) -> Tensor:
    """Share of the n pixels of largest magnitude that lie in a region of n pixels; ``(B, H, W)`` twice -> ``(B,)``.

    A random map scores the region's share of the area; of equal pixels, not all of which are among the n, each counts
    in part. NaN without region, or where a map is 0 everywhere.

    Example:
        >>> precision(torch.tensor([[[-0.9, 0.5, 0.1, 0.2]]]), torch.tensor([[[True, False, False, False]]]))
        tensor([1.])
    """
    size = maps.abs()
    return relevance_rank(size, regions).masked_fill(~(size > 0).flatten(1).any(1), torch.nan)


def suppressor_share(maps: Tensor, suppressors: Tensor) -> Tensor:
    """Positive attribution at suppressors over all of it; ``(B, H, W)`` twice -> ``(B,)``, NaN where there is none.

    A suppressor says nothing about the class, although an optimal model uses it, to subtract what disturbs the evidence
    elsewhere: to call it evidence is wrong. NaN without suppressor.

    Example:
        >>> suppressor_share(torch.tensor([[[3.0, 1.0, -2.0]]]), torch.tensor([[[False, True, True]]]))
        tensor([0.2500])
    """
    return energy_inside(maps, suppressors).masked_fill(~suppressors.flatten(1).any(1), torch.nan)


def pooled_masses(maps: Tensor, most: int = 16) -> Tensor:
    """The magnitude of a map on at most `most` cells a side, summing to 1: ``(B, H, W)`` -> ``(B, h, w)``.

    NaN where a map is 0 everywhere.

    Example:
        >>> pooled_masses(torch.tensor([[[1.0, -1.0, 0.0, 2.0]]]), most=2)
        tensor([[[0.5000, 0.5000]]])
    """
    cells = cell_values(maps.abs(), (min(maps.shape[-2], most), min(maps.shape[-1], most)))
    return cells / cells.sum((-2, -1), keepdim=True)


def cell_centers(size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Middles of the cells of a grid over an image of `size` pixels, in pixels, fp64 ``(h * w, 2)``: row, column.

    Example:
        >>> cell_centers((2, 4), (1, 2))
        tensor([[1., 1.],
                [1., 3.]], dtype=torch.float64)
    """
    rows, columns = ((torch.arange(k, dtype=torch.float64) + 0.5) * (pixels / k) for pixels, k in zip(size, grid))
    return torch.cartesian_prod(rows, columns)
