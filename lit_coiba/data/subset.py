"""Part of a dataset, still in the order of its ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from torch import Tensor

from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.keypoints import Keypoints

LimitOrder = Literal["spread", "first"]


def limited(dataset: ImageDataset, limit: int | None, order: LimitOrder = "spread") -> ImageDataset:
    """At most `limit` samples of a dataset; None = all.

    ``spread`` takes them evenly spaced over the sorted ids, so that of class folders every class is seen (up to the
    limit); ``first`` takes the first ones, which of class folders are the first few classes.
    """
    total = len(dataset)
    if limit is None or limit >= total:
        return dataset
    return Subset(dataset, range(limit) if order == "first" else [i * total // limit for i in range(limit)])


class Subset(ImageDataset):
    """Samples `indices` of a dataset, ascending; sample i is sample ``indices[i]`` of `dataset`."""

    def __init__(self, dataset: ImageDataset, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = list(indices)
        self.ids = [dataset.ids[index] for index in self.indices]
        self.labels = [dataset.labels[index] for index in self.indices]
        self.classes = dataset.classes

    def image(self, index: int) -> Image.Image:
        """The sample as an RGB image."""
        return self.dataset.image(self.indices[index])

    def region(self, index: int) -> Tensor | None:
        """Where the object is, in pixels of `image`; None = unknown."""
        return self.dataset.region(self.indices[index])

    def importance(self, index: int) -> Tensor | None:
        """Where people say the evidence is, in pixels of `image`; None = unknown."""
        return self.dataset.importance(self.indices[index])

    def importances(self, index: int) -> Tensor | None:
        """The same for each participant; None = not known one by one."""
        return self.dataset.importances(self.indices[index])

    def suppressor(self, index: int) -> Tensor | None:
        """What says nothing about the class, but is of use to a model: a mask like `region`; None = unknown."""
        return self.dataset.suppressor(self.indices[index])

    def parts(self, index: int) -> Keypoints | None:
        """Where the parts of the object are, in pixels of `image`; None = unknown."""
        return self.dataset.parts(self.indices[index])

    def identity(self) -> dict[str, Any]:
        """That of the whole dataset: which samples these are, the ids say."""
        return self.dataset.identity()

    def files(self, index: int) -> Sequence[Path]:
        """The files that `image` is made from."""
        return self.dataset.files(self.indices[index])

    def version(self, index: int) -> str:
        """A text that changes when the sample does."""
        return self.dataset.version(self.indices[index])

    def region_version(self, index: int) -> str:
        """A text that changes when `region` does."""
        return self.dataset.region_version(self.indices[index])

    def importance_version(self, index: int) -> str:
        """A text that changes when `importance` does."""
        return self.dataset.importance_version(self.indices[index])
