"""Maps in space: the one way they are resized, and how a ratio is smoothed.

Ratios are resized and smoothed by sums of products, not by convolutions or matrix products: autocast and TF32 round
those, and a ratio close to one must keep its digits.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from lit_coiba.functional.places import Places


def resize_map(maps: Tensor, size: tuple[int, int], places: Places | None = None) -> Tensor:
    """Maps ``(B, h, w)`` bilinearly at ``(B, H, W)`` pixels, corners not aligned; values stay densities.

    Args:
        maps: ``(B, h, w)``.
        size: H and W.
        places: Pixels that the cells cover; None = equal parts of the image.

    Example:
        >>> resize_map(torch.tensor([[[0.0, 1.0]]]), (1, 4))
        tensor([[[0.0000, 0.2500, 0.7500, 1.0000]]])
        >>> resize_map(torch.tensor([[[0.0, 1.0]]]), (1, 4), Places((0, 1), (0, 3, 4), (1, 4)))
        tensor([[[0.0000, 0.0000, 0.5000, 1.0000]]])
    """
    if places is not None:
        rows, columns = (weights.to(maps.dtype).to(maps.device) for weights in places.weights(size))
        tall = torch.stack([(row.unsqueeze(-1) * maps).sum(-2) for row in rows], -2)  # no matrix products: see above
        return torch.stack([(column * tall).sum(-1) for column in columns], -1)
    return interpolate(maps.unsqueeze(1), size=tuple(size), mode="bilinear", align_corners=False).squeeze(1)


def resize_ratio(ratio: Tensor, size: tuple[int, int]) -> Tensor:
    """A damping ratio ``(B, h, w)`` on another layer's grid; a finer one is averaged (anti-aliased), not sampled.

    Example:
        >>> resize_ratio(torch.tensor([[[0.0, 1.0, 0.0, 1.0]]]), (1, 2))
        tensor([[[0.4286, 0.5714]]])
    """
    if tuple(ratio.shape[-2:]) == tuple(size):
        return ratio
    weights = (_triangle(cells, wanted) for cells, wanted in zip(ratio.shape[-2:], size))
    rows, columns = (w.to(ratio.dtype).to(ratio.device) for w in weights)  # in this order: MPS has no fp64
    tall = (rows.unsqueeze(-1) * ratio.unsqueeze(-3)).sum(-2)  # (B, H, w)
    return (columns * tall.unsqueeze(-2)).sum(-1)


def gaussian_kernel(sigma: float) -> Tensor:
    """Normalised weights of a Gaussian over ``2 * round(2 * sigma) + 1`` cells, fp64 (IBA's kernel: 5 for sigma 1).

    Example:
        >>> len(gaussian_kernel(1.0))
        5
    """
    radius = round(2 * sigma)
    cells = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weights = torch.exp(-0.5 * (cells / sigma) ** 2)
    return weights / weights.sum()


def smooth(values: Tensor, sigma: float) -> Tensor:
    """Each channel of ``(B, C, h, w)`` convolved with a Gaussian of `sigma` cells, borders reflected.

    Raises:
        ValueError: The grid is smaller than the border that has to be reflected.
    """
    kernel = gaussian_kernel(sigma).tolist()
    radius = len(kernel) // 2
    if radius >= min(values.shape[-2:]):
        grid = tuple(values.shape[-2:])
        raise ValueError(f"smoothing: a kernel of {len(kernel)} cells needs a grid larger than {radius}, not {grid}")
    return convolve(values, kernel)


def convolve(values: Tensor, kernel: Sequence[float], border: Literal["reflect", "zeros"] = "reflect") -> Tensor:
    """Each channel of ``(B, C, h, w)`` convolved with an odd, symmetric `kernel` along both axes; same shape.

    Args:
        values: Channels on a grid larger than half the kernel.
        kernel: Weights of one axis.
        border: Values outside the grid: the grid reflected about its outermost cells, or nothing.

    Example:
        >>> convolve(torch.tensor([[[[0.0], [4.0], [0.0]]]]), [0.25, 0.5, 0.25], "zeros").flatten()
        tensor([0.5000, 1.0000, 0.5000])
    """
    radius = len(kernel) // 2
    for axis in (-2, -1):
        size = values.shape[axis]
        if border == "reflect":
            before, after = values.narrow(axis, 1, radius), values.narrow(axis, size - 1 - radius, radius)
            padded = torch.cat([before.flip(axis), values, after.flip(axis)], axis)
        else:
            padded = pad(values, (0, 0, radius, radius) if axis == -2 else (radius, radius))
        values = torch.zeros_like(values)
        for shift, weight in enumerate(kernel):
            values = values + weight * padded.narrow(axis, shift, size)
    return values


def _triangle(cells: int, wanted: int) -> Tensor:
    """Weights ``(wanted, cells)``: around each center a triangle as wide as the coarser of the two grids' cells."""
    step = cells / wanted
    centres = (torch.arange(wanted, dtype=torch.float64) + 0.5) * step
    distance = (torch.arange(cells, dtype=torch.float64) + 0.5 - centres.unsqueeze(-1)).abs()
    weights = (1 - distance / max(step, 1.0)).clamp_min(0)
    return weights / weights.sum(-1, keepdim=True)
