"""How alike the map of a randomized model is to the map of the model, by the measures of Adebayo et al."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.functional import resize_map
from lit_coiba.functional.correlation import pearson, spearman
from lit_coiba.functional.similarity import by_largest, ssim

Similarity = Literal["spearman", "ssim", "hog"]
_CELL = 16  # pixels of a cell of HOG (paper), at images of 64 pixels or more
_CELLS, _BLOCK = 4, 3  # cells of a side at smaller images; cells of a block


def check_similarity(similarity: str) -> Similarity:
    """`similarity`, which can be computed.

    Raises:
        InputError: There is no such one, or the package that it needs is missing.
    """
    found: Similarity = check_choice(similarity, Similarity, "similarity")
    if found == "hog" and find_spec("skimage") is None:
        raise InputError(
            "similarity is hog, which needs scikit-image: pip install 'lit-coiba[demo]', or choose spearman or ssim"
        )
    return found


def alike(first: Tensor, second: Tensor, similarity: Similarity, size: tuple[int, int]) -> Tensor:
    """Similarity of the absolute values of two maps, ``(B, h, w)`` twice -> ``(B,)`` fp64.

    NaN where a map is not finite or 0 everywhere, and for a rank correlation where it is constant.

    Args:
        first: Maps.
        second: Maps, on the grid of the others or brought to it.
        similarity: ``spearman`` = rank correlation; ``ssim`` = structural similarity of maps with maximum 1; ``hog`` =
            correlation of their histograms of oriented gradients, at the image's pixels.
        size: Height and width of the images.
    """
    if second.shape != first.shape:
        second = resize_map(second, (first.shape[-2], first.shape[-1]))
    one, other = by_largest(first), by_largest(second)
    if similarity == "spearman":
        return spearman(one.flatten(1), other.flatten(1)).double()
    if similarity == "ssim":
        return ssim(one, other).double()
    a, b = (_gradients(resize_map(maps, size)) for maps in (one, other))
    return pearson(a, b).to(first.device)


def _gradients(maps: Tensor) -> Tensor:
    """Histograms of oriented gradients ``(B, n)``, fp64 on the CPU; NaN where a map is."""
    from skimage.feature import hog

    side = min(maps.shape[-2:])
    cell = _CELL if side >= _CELLS * _CELL else max(1, side // _CELLS)
    block = min(_BLOCK, side // cell)
    pixels = maps.double().cpu()
    known = pixels.flatten(1).isfinite().all(1)
    found = [
        hog(map, pixels_per_cell=(cell, cell), cells_per_block=(block, block)) for map in pixels.nan_to_num(0).numpy()
    ]
    return torch.stack([torch.from_numpy(one) for one in found]).masked_fill(~known[:, None], torch.nan)
