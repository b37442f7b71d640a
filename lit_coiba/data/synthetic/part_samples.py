"""What protocols need of samples whose parts and background objects can be taken away."""

from __future__ import annotations

from typing import Any, Protocol, TypeGuard

from torch import Tensor


class PartSamples(Protocol):
    """Samples of objects with P parts, in front of N things that say nothing about the class; N may differ."""

    ids: list[str]
    labels: list[int]

    @property
    def class_parts(self) -> Tensor:
        """The variant of each part of each class, int64 ``(K, P)``."""

    def pixels(self, index: int) -> Tensor:
        """The sample, uint8 ``(3, H, W)``."""

    def masks(self, index: int) -> Tensor:
        """Where each part is seen, bool ``(P, H, W)``."""

    def background_masks(self, index: int) -> Tensor:
        """Where each thing in the background is seen, bool ``(N, H, W)``."""

    def subsets(self, index: int, present: Tensor) -> Tensor:
        """The sample with some of its parts, many times: bool ``(S, P)`` -> uint8 ``(S, 3, H, W)``."""

    def without_each_object(self, index: int) -> Tensor:
        """The sample without one thing in the background at a time, uint8 ``(N, 3, H, W)``."""


def has_parts(dataset: Any) -> TypeGuard[PartSamples]:
    """Whether a dataset offers all of this."""
    names = ("class_parts", "pixels", "masks", "background_masks", "subsets", "without_each_object")
    return all(hasattr(dataset, name) for name in names)
