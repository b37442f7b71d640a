"""Which class of each image is explained."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lit_coiba.contracts import InputError


def class_targets(targets: Tensor | None, images: Tensor, classes: int, logits: Callable[[], Tensor]) -> Tensor:
    """A class per image, ``(B,)`` int64 on the device of `images`; a tensor that autograd may keep.

    Args:
        targets: Classes ``(B,)``; None = the predicted ones.
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
