"""What a method is asked to explain: images as the model takes them, and a class for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.network import Network


def check_images(model: Network, images: Tensor) -> None:
    """Refuse what is no batch of model input.

    Raises:
        InputError: Not ``(B, 3, H, W)`` of floating-point numbers at the model's size, or none at all.
    """
    if not hasattr(model, "preprocessing"):
        what = type(model).__name__
        raise InputError(f"the model is a {what} of its own: wrap it first, Backbone.wrap(model, image_size=...)")
    if not isinstance(images, Tensor):
        raise InputError(f"images are a {type(images).__name__}: give a tensor (B, 3, H, W), torch.from_numpy(...)")
    if images.dim() != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise InputError(
            f"images are {images.dtype} of shape {tuple(images.shape)}: give normalised model input (B, 3, H, W), as"
            " Backbone.normalize makes of pixels in [0, 1]"
        )
    if not len(images):
        raise InputError("images has no image in it: give one or more, or skip the batch")
    if tuple(images.shape[-2:]) != tuple(model.preprocessing.size):
        given, size = (f"{height}x{width}" for height, width in (images.shape[-2:], model.preprocessing.size))
        raise InputError(
            f"the images are {given} pixels, the model takes {size}: resize the images, or build the model with another"
            " image_size"
        )


def class_targets(targets: Tensor | int | None, images: Tensor, classes: int, logits: Callable[[], Tensor]) -> Tensor:
    """A class per image, ``(B,)`` int64 on the device of `images`; a tensor that autograd may keep.

    Args:
        targets: Classes ``(B,)``, a tensor or a list, or one for all images; None = the predicted ones.
        images: The images, ``(B, ...)``.
        classes: How many the model has.
        logits: Gives the clean logits ``(B, K)``; called only where `targets` is None.

    Raises:
        InputError: Not one class of the model per image.

    Example:
        >>> class_targets(None, torch.zeros(2, 3, 8, 8), 2, lambda: torch.eye(2))
        tensor([0, 1])
    """
    if targets is None:
        return logits().argmax(-1)
    if isinstance(targets, int) and not isinstance(targets, bool):
        targets = torch.full((len(images),), targets)
    if isinstance(targets, Sequence) and all(type(target) is int for target in targets):
        targets = torch.tensor(list(targets), dtype=torch.int64)
    if not isinstance(targets, Tensor):
        raise InputError(f"targets are {type(targets).__name__}: give a tensor of class indices, or one class")
    if targets.shape != images.shape[:1] or targets.is_floating_point() or targets.dtype == torch.bool:
        given = f"{targets.dtype} of shape {tuple(targets.shape)}"
        raise InputError(f"targets are {given}: give one class index for each of the {len(images)} images")
    outside = (targets < 0) | (targets >= classes)
    if outside.any():
        position = int(outside.nonzero()[0])
        raise InputError(
            f"targets: image {position} of the batch has class {int(targets[position])}, but the model's classes are"
            f" 0 to {classes - 1}"
        )
    return targets.detach().to(images.device, torch.int64, copy=True)  # a copy: it may be an inference tensor
