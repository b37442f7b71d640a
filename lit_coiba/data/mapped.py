"""Batches for models that learn where the evidence is: images, targets, and maps of what people call important."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError


class MappedBatch(NamedTuple):
    """A batch of training or evaluation with importance maps.

    Attributes:
        images: Model input ``(B, 3, H, W)``.
        targets: Class indices ``(B,)``, or a probability for each class ``(B, K)``.
        importance: Where people say the evidence is, float32 ``(B, H, W)``, 0 or more, in pixels of `images`; neither
            smoothed nor scaled. 0 where it is not known.
        mapped: Whether an image has a map, bool ``(B,)``. A map that is the same everywhere in what is left of the
            image says nothing, and is none.
    """

    images: Tensor
    targets: Tensor
    importance: Tensor
    mapped: Tensor


AnyBatch = tuple[Tensor, Tensor] | MappedBatch  # what a data module trains and evaluates on, by the batch


def first_of(batch: AnyBatch) -> AnyBatch:
    """The first sample of a batch, without the axis of samples."""
    return MappedBatch(*(part[0] for part in batch)) if isinstance(batch, MappedBatch) else (batch[0][0], batch[1][0])


@runtime_checkable
class WithImportance(Protocol):
    """What training draws from, where it can give importance maps too."""

    def read_importance(self) -> None:
        """Give every batch as a `MappedBatch` from now on."""


def with_importance(examples: Any) -> Any:
    """Examples that give every batch as a `MappedBatch`.

    Args:
        examples: What training or evaluation draws from.

    Raises:
        InputError: They cannot.
    """
    if not isinstance(examples, WithImportance):
        raise InputError(
            f"the model learns from importance maps, but {type(examples).__name__}, which the data module draws from,"
            " gives none: let it have read_importance(), as LabelledImages, or take another model"
        )
    examples.read_importance()
    return examples


def check_importance(map: Tensor, height: int, width: int) -> None:
    """Refuse a map that is none of a picture of this size.

    Raises:
        InputError: It has another shape, or values that are negative or not finite; one clause.
    """
    if tuple(map.shape) != (height, width):
        shape = " x ".join(str(side) for side in reversed(map.shape))
        raise InputError(f"its importance map has {shape} pixels, but its image has {width} x {height}")
    if not map.isfinite().all():
        raise InputError("its importance map has values that are not finite: give 0 where nothing is important")
    if (map < 0).any():
        raise InputError(f"its importance map goes down to {float(map.min()):.4g}: give values of 0 or more")


def mapped_batch(images: Tensor, targets: Tensor, maps: Sequence[Tensor | None]) -> MappedBatch:
    """Images and targets with their maps.

    Args:
        images: ``(B, 3, H, W)``.
        targets: ``(B,)`` or ``(B, K)``.
        maps: Map ``(H, W)`` of each image; None = unknown.

    Example:
        >>> clicks, nothing = torch.tensor([[0.0, 2.0]]), torch.zeros(1, 2)
        >>> mapped_batch(torch.zeros(3, 3, 1, 2), torch.zeros(3), [None, clicks, nothing]).mapped
        tensor([False,  True, False])
    """
    nothing = torch.zeros(images.shape[-2:])
    importance = torch.stack([nothing if one is None else one.float() for one in maps])
    flat = importance.flatten(1)
    mapped = flat.amin(1) < flat.amax(1)
    return MappedBatch(images, targets, importance * mapped[:, None, None], mapped)
