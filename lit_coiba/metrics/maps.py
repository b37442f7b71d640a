"""Checks of the maps that metrics are given."""

import hashlib

from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.functional import precise


def maps_of(maps: Tensor, images: Tensor) -> Tensor:
    """`checked_maps` of a batch of images, on their device.

    Raises:
        InputError: They are not one for each image, or the images are no batch.
    """
    if images.dim() != 4:
        raise InputError(f"images have shape {tuple(images.shape)}: give model input (B, C, H, W)")
    return checked_maps(maps, len(images)).to(images.device)


def checked_maps(maps: Tensor, samples: int) -> Tensor:
    """Maps that are one per sample, detached, in single precision at least.

    Raises:
        InputError: They are not.
    """
    if maps.dim() != 3 or len(maps) != samples or not maps.is_floating_point():
        raise InputError(
            f"maps are {maps.dtype} of shape {tuple(maps.shape)}: give one map (h, w) of floating-point numbers for"
            f" each of the {samples} samples"
        )
    return precise(maps.detach())


def not_finite(maps: Tensor) -> Tensor:
    """Which maps ``(B, h, w)`` have a NaN or an infinity, ``(B,)``."""
    return ~maps.isfinite().flatten(1).all(1)


def digest(maps: Tensor) -> str:
    """SHA-256 of maps, for what is computed once for the same ones."""
    described = f"{maps.dtype} {tuple(maps.shape)}".encode()
    return hashlib.sha256(described + maps.cpu().contiguous().numpy().tobytes()).hexdigest()


def constant(maps: Tensor) -> Tensor:
    """Which maps ``(B, h, w)`` have one value everywhere, ``(B,)``."""
    values = maps.flatten(1)
    return (values == values[:, :1]).all(1)
