"""Parts of an image that are shown or hidden as a whole: what LIME and KernelSHAP explain."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.network import Network

Segments = Literal["grid", "slic"]


def segments_of(images: Tensor, model: Network, segments: Segments, grid_size: int, regions: Tensor | None) -> Tensor:
    """The segment of every pixel, int64 from 0 without gaps: ``(1, H, W)`` for all images, or ``(B, H, W)``.

    Args:
        images: ``(B, 3, H, W)``.
        model: Model whose normalization gives the colors of the pixels.
        segments: Way to divide the image if no regions are given.
        grid_size: Number of cells along a side of a grid; its square is about the number of superpixels.
        regions: The user's own segments, ``(H, W)`` or ``(B, H, W)``.

    Raises:
        InputError: `regions` are not a whole number for every pixel; more cells than pixels; scikit-image is missing.
    """
    if regions is not None:
        return checked_regions(regions, images)
    if segments == "grid":
        if grid_size > min(images.shape[-2:]):
            raise InputError(
                f"grid_size is {grid_size}, more than the image has pixels: give at most {min(images.shape[-2:])}"
            )
        return grid_segments(grid_size, (images.shape[-2], images.shape[-1])).to(images.device)
    return superpixels(model.preprocessing.denormalize(images), grid_size**2).to(images.device)


def segment_masks(values: Tensor, places: Tensor) -> Tensor:
    """Values per segment ``(k, d)`` as masks ``(k, r, H, W)``, r = 1 where all images have the same segments.

    Example:
        >>> segment_masks(torch.tensor([[5.0, 7.0]]), torch.tensor([[[0, 1, 1]]]))
        tensor([[[[5., 7., 7.]]]])
    """
    return values[:, places.flatten()].unflatten(-1, tuple(places.shape))


def grid_segments(cells: int, size: tuple[int, int]) -> Tensor:
    """Square cells numbered row by row, ``(1, H, W)`` int64.

    Example:
        >>> grid_segments(2, (2, 4))
        tensor([[[0, 0, 1, 1],
                 [2, 2, 3, 3]]])
    """
    rows, columns = (torch.arange(pixels) * cells // pixels for pixels in size)
    return (rows.unsqueeze(-1) * cells + columns).unsqueeze(0)


def superpixels(pixels: Tensor, count: int) -> Tensor:
    """Some `count` superpixels of similar color, numbered from 0 for each image: ``(B, H, W)`` int64 on the CPU.

    Achanta et al., SLIC, 2012; scikit-image's implementation.

    Args:
        pixels: Images ``(B, 3, H, W)`` in [0, 1].
        count: Number of superpixels, about.

    Raises:
        InputError: scikit-image is missing.
    """
    try:
        from skimage.segmentation import slic
    except ImportError as error:
        raise InputError("segments slic needs scikit-image: pip install 'lit-coiba[demo]', or choose grid") from error
    images = pixels.detach().clamp(0, 1).double().cpu().permute(0, 2, 3, 1).contiguous().numpy()
    return torch.stack([_numbered(torch.from_numpy(slic(image, count, start_label=0))) for image in images])


def checked_regions(regions: Tensor, images: Tensor) -> Tensor:
    """The user's own segments, numbered from 0 without gaps: ``(1 or B, H, W)``.

    Raises:
        InputError: Not a whole number for every pixel.
    """
    given = regions.unsqueeze(0) if regions.dim() == 2 else regions
    fits = given.dim() == 3 and given.shape[-2:] == images.shape[-2:] and len(given) in (1, len(images))
    if not fits or given.is_floating_point() or given.is_complex():
        height, width = images.shape[-2:]
        raise InputError(
            f"regions are {regions.dtype} of shape {tuple(regions.shape)}: give integers ({height}, {width}), the"
            f" segment of every pixel, or one such map for each of the {len(images)} images"
        )
    return torch.stack([_numbered(one) for one in given]).to(images.device)


def _numbered(labels: Tensor) -> Tensor:
    """Labels as 0, 1, 2, ... in their order."""
    return labels.unique(return_inverse=True)[1]
