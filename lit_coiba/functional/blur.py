"""Blurred images, into which pixels are inserted."""

from typing import Literal

import torch
from torch import Tensor

from lit_coiba.functional.maps import convolve


def blur_images(images: Tensor, window: Literal["gaussian", "rise"], size: int, sigma: float) -> Tensor:
    """Images ``(B, C, H, W)`` blurred with `size` x `size` pixels (odd) of a Gaussian of `sigma` pixels.

    Args:
        images: In any space.
        window: ``gaussian`` = cut off to `size` pixels and normalized, images reflected at their borders, which have to
            be longer than ``size // 2`` pixels; ``rise`` = RISE's own: the folded window, zeros outside the image.
        size: Pixels, odd.
        sigma: Pixels.

    Example:
        >>> blur_images(torch.ones(1, 1, 1, 3), "rise", 3, 1.0)
        tensor([[[[0.2871, 0.4078, 0.2871]]]])
    """
    if window == "rise":
        return convolve(images, folded_gaussian_window(size, sigma).tolist(), "zeros")
    return convolve(images, gaussian_window(size, sigma).tolist(), "reflect")


def gaussian_window(size: int, sigma: float) -> Tensor:
    """Weights of a Gaussian of `sigma` pixels cut off to `size` pixels (odd) and normalized, fp64 ``(size,)``.

    Example:
        >>> gaussian_window(3, 1.0)
        tensor([0.2741, 0.4519, 0.2741], dtype=torch.float64)
    """
    pixels = torch.arange(size, dtype=torch.float64) - size // 2
    weights = torch.exp(-0.5 * (pixels / sigma) ** 2)
    return weights / weights.sum()


def folded_gaussian_window(size: int, sigma: float) -> Tensor:
    """The window that RISE blurs with: tails that leave its `size` pixels are reflected into it; fp64 ``(size,)``.

    Petsiuk et al., RISE, 2018 (arXiv 1806.07421), released evaluation: a unit impulse in a window smoothed by scipy's
    Gaussian filter, which cuts off at four sigma. With 11 pixels and sigma 5 it is nearly a box.

    Example:
        >>> folded_gaussian_window(3, 1.0)
        tensor([0.2961, 0.4078, 0.2961], dtype=torch.float64)
    """
    reach = int(4 * sigma + 0.5)
    weights = gaussian_window(2 * reach + 1, sigma)
    places = (torch.arange(size).unsqueeze(-1) + torch.arange(-reach, reach + 1)) % (2 * size)
    places = torch.where(places < size, places, 2 * size - 1 - places)
    return (weights * (places == size // 2)).sum(-1)
