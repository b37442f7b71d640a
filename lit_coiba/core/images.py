"""Images as a model takes them, or one sentence about what is wrong with them."""

from __future__ import annotations

from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.network import Network


def check_images(model: Network, images: Tensor) -> None:
    """Refuse what is not a batch of model input.

    Raises:
        InputError: Not ``(B, 3, H, W)`` of floating-point numbers at the model's size, or none at all.
    """
    if not hasattr(model, "preprocessing"):
        what = type(model).__name__
        raise InputError(f"the model is a plain {what}: wrap it first, Backbone.wrap(model, image_size=...)")
    if not isinstance(images, Tensor):
        raise InputError(
            f"images is of type {type(images).__name__}: give a tensor (B, 3, H, W), as from torch.from_numpy(...)"
        )
    if images.dim() != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise InputError(
            f"images is {images.dtype} of shape {tuple(images.shape)}: give normalized model input (B, 3, H, W), as"
            " Backbone.normalize makes it from pixels in [0, 1]"
        )
    if not len(images):
        raise InputError("images is empty: give at least one image, or skip the batch")
    if tuple(images.shape[-2:]) != tuple(model.preprocessing.size):
        given, size = (f"{height}x{width}" for height, width in (images.shape[-2:], model.preprocessing.size))
        raise InputError(
            f"the images have {given} pixels, but the model takes {size}: resize the images, or build the model with "
            "another image_size"
        )
