"""Images as a model takes them, or one sentence about what is wrong with them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lit_coiba.core.errors import InputError
from lit_coiba.core.network import Network


def check_images(model: Network, images: Tensor) -> None:
    """Refuse what is not a batch of model input.

    Raises:
        InputError: Not ``(B, 3, H, W)`` of floating-point numbers at the model's size, or none at all; of another
            type or on another device than the model's weights.
    """
    if not hasattr(model, "preprocessing") or isinstance(model, type):
        raise InputError(_no_model(model))
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
    if isinstance(model, nn.Module):
        check_weights(model, images)


def check_weights(model: nn.Module, images: Tensor) -> None:
    """Refuse images of another type or on another device than a model's weights; autocast converts types itself.

    Raises:
        InputError: They are.
    """
    own = next((parameter for parameter in model.parameters() if parameter.is_floating_point()), None)
    if own is None:
        return
    if own.device != images.device:
        raise InputError(
            f"the images are on {images.device} and the model is on {own.device}: move one of them,"
            f" images.to({str(own.device)!r}) or model.to({str(images.device)!r})"
        )
    if own.dtype != images.dtype and not torch.is_autocast_enabled(images.device.type):
        given, weights = (str(dtype).removeprefix("torch.") for dtype in (images.dtype, own.dtype))
        raise InputError(
            f"the images are {given} and the model's weights {weights}: convert one of them, images.to(torch.{weights})"
            f" or model.to(torch.{given})"
        )


def _no_model(given: object) -> str:
    """What is wrong with something that should be a model."""
    if isinstance(given, nn.Module):
        return f"the model is a plain {type(given).__name__}: wrap it first, Backbone.wrap(model, image_size=...)"
    if isinstance(given, type):
        return f"the model is the class {given.__name__}: give a model of it, such as {given.__name__}(...)"
    return (
        f"the model is of type {type(given).__name__}: give a Backbone, Backbone(name) for a timm model or"
        " Backbone.wrap(module) for a module"
    )
