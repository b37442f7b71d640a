"""What every dataset of images owes: stable ids, labels, pixels, and where the object and its parts are."""

import hashlib
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from lit_coiba.core.class_identity import class_identity
from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.data.keypoints import Keypoints


class ImageDataset(ABC):
    """Images in a fixed order: sorted by id, the same on every machine and in every process."""

    ids: list[str]  # unique and sorted
    labels: list[int]  # class index per sample; -1 = no label
    classes: list[str]  # class names, in index order; empty = unknown

    def __len__(self) -> int:
        return len(self.ids)

    @abstractmethod
    def image(self, index: int) -> Image.Image:
        """The sample as an RGB image.

        Raises:
            OSError: The file cannot be read; the message says why.
        """

    def region(self, index: int) -> Tensor | None:
        """Where the object is, a mask ``(H, W)`` in pixels of `image`; None = unknown."""
        return None

    def importance(self, index: int) -> Tensor | None:
        """Where people say the evidence is, float32 ``(H, W)``, 0 or more, in pixels of `image`; None = unknown.

        By default the region, 1 inside and 0 outside: a weak map. Of several participants it is their mean.
        """
        region = self.region(index)
        return None if region is None else region.float()

    def importances(self, index: int) -> Tensor | None:
        """The same for each of P participants, float32 ``(P, H, W)``; None = not known one by one."""
        return None

    def suppressor(self, index: int) -> Tensor | None:
        """What says nothing about the class, but is of use to a model: a mask like `region`; None = unknown."""
        return None

    def parts(self, index: int) -> Keypoints | None:
        """Where the parts of the object are, in pixels of `image`; None = unknown."""
        return None

    def identity(self) -> dict[str, Any]:
        """What decides the pictures beside ids, files and versions, such as a seed: plain values."""
        return {"class": class_identity(type(self))}

    def files(self, index: int) -> Sequence[Path]:
        """The files that `image` is made from, by whose size and time a changed sample is noticed; none = no files."""
        return ()

    def version(self, index: int) -> str:
        """A text that changes when the sample does, where its files do not say so; empty = only its id is known."""
        return ""

    def region_version(self, index: int) -> str:
        """A text that changes when `region` does; empty = unknown region.

        It is asked for where regions are measured with. By default the region is computed for it.
        """
        return _content(self.region, index)

    def importance_version(self, index: int) -> str:
        """A text that changes when `importance` does; empty = unknown importance.

        It is asked for where importance is measured with. By default that of the region where importance is the region,
        else importance is computed for it.
        """
        if type(self).importance is ImageDataset.importance:
            return self.region_version(index)
        return _content(self.importance, index)


def _content(of: Callable[[int], Tensor | None], index: int) -> str:
    """What a mask or map of a sample holds, as a text; empty = there is none."""
    try:
        values = of(index)
    except Exception as error:  # whatever a user's dataset raises; the run tells of it where it is needed
        return f"unreadable: {type(error).__name__}"
    if values is None:
        return ""
    return hashlib.sha256(str(tuple(values.shape)).encode() + values.cpu().numpy().tobytes()).hexdigest()[:32]


def picture_of(dataset: ImageDataset, key: int | str) -> Image.Image:
    """The picture of a sample, by its number or its id.

    Raises:
        InputError: There is no such sample, or it cannot be read.
    """
    if isinstance(key, str):
        index = bisect_left(dataset.ids, key)
        if index == len(dataset.ids) or dataset.ids[index] != key:
            near = ", ".join(printable(name, 60) for name in dataset.ids[max(index - 1, 0) : index + 2])
            raise InputError(f"the data have no sample {printable(key, 100)!r}: ids near it are {near}")
    elif isinstance(key, int) and -len(dataset) <= key < len(dataset):
        index = key % len(dataset)
    else:
        given = key if isinstance(key, int) else f"of type {type(key).__name__}"
        raise InputError(f"the sample is {given}: give the id of one, or a number from 0 to {len(dataset) - 1}")
    try:
        return dataset.image(index)
    except OSError as error:
        raise InputError(f"{printable(dataset.ids[index], 200)} cannot be read: {printable(error, 200)}") from error
