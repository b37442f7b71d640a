"""What a method is given as targets, bound to its images: one row for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.targets.class_target import Class, class_rows
from lit_coiba.core.targets.resolved import Resolved
from lit_coiba.core.targets.strings import parse_target
from lit_coiba.core.targets.target import Target

Targets = Tensor | int | str | Sequence[int] | Target | Resolved | None  # what methods and metrics take


def resolve(
    targets: Targets, images: Tensor, num_classes: int, predict: Callable[[], Any], names: Sequence[str] = ()
) -> Resolved:
    """A row for each image, on its device.

    Args:
        targets: Classes ``(B,)``, a tensor or a list, or one class for all images; a `Target`, or a text that stands
            for one; what a target was resolved to; None = the predicted classes.
        images: The images, ``(B, ...)``.
        num_classes: Number of classes of the model.
        predict: Gives the clean output; called only where something has to be chosen on it.
        names: Class names in index order; empty = unknown.

    Raises:
        InputError: Not one row for each image, or a class that the model does not have.

    Example:
        >>> resolve(None, torch.zeros(2, 3, 8, 8), 2, lambda: torch.eye(2)).index
        tensor([0, 1])
    """
    if isinstance(targets, str):
        targets = parse_target(targets)
        targets.check(num_classes, names)
    if isinstance(targets, Resolved):
        found = targets.to(images.device)
    elif isinstance(targets, Target) or targets is None:
        target = Class() if targets is None else targets
        found = target.resolve(predict(), names=names)
    else:
        return class_rows(class_indices(targets, images, num_classes), num_classes)
    if found.image.tolist() != list(range(len(images))):
        why = next(iter(found.reasons.values()), None)
        counted = f"{len(found)} rows for {len(images)} images" + (
            f" (image {min(found.reasons)}: {why})" if why else ""
        )
        raise InputError(f"targets selects {counted}: give a target with exactly one row per image")
    return found


def class_indices(targets: Tensor | int | Sequence[int], images: Tensor, num_classes: int) -> Tensor:
    """A class per image, ``(B,)`` int64 on the device of `images`; a tensor that autograd may keep.

    Raises:
        InputError: Not one class of the model per image.
    """
    if isinstance(targets, int) and not isinstance(targets, bool):
        targets = torch.full((len(images),), targets)
    if isinstance(targets, Sequence) and all(type(target) is int for target in targets):
        targets = torch.tensor(list(targets), dtype=torch.int64)
    if not isinstance(targets, Tensor):
        raise InputError(f"targets is of type {type(targets).__name__}: give a tensor of class indices, or one class")
    if targets.shape != images.shape[:1] or targets.is_floating_point() or targets.dtype == torch.bool:
        given = f"{targets.dtype} of shape {tuple(targets.shape)}"
        raise InputError(f"targets is {given}: give one class index for each of the {len(images)} images")
    outside = (targets < 0) | (targets >= num_classes)
    if outside.any():
        position = int(outside.nonzero()[0])
        raise InputError(
            f"targets: image {position} of the batch has class {int(targets[position])}, but the model's classes are "
            f"0 to {num_classes - 1}"
        )
    return targets.detach().to(images.device, torch.int64, copy=True)  # a copy: it may be an inference tensor
