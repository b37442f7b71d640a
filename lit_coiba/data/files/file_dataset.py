"""Image files below a folder as a dataset."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from PIL import Image
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.files.boxes import AnyBox, covered, shown
from lit_coiba.data.files.image_file import image_size, read_image
from lit_coiba.data.files.map_folder import MapFolder
from lit_coiba.data.once import Once


class BoxTable(Protocol):
    """Boxes around the objects in image files, such as a dict."""

    def get(self, name: str, /) -> Sequence[AnyBox] | None:
        """Those of a file; None where it has none."""


class FileDataset(ImageDataset):
    """Image files below a root; the id of a file is its path relative to it.

    Args:
        root: The folder that `names` are relative to.
        names: Relative POSIX paths, in any order.
        labels: Class index of each, -1 = none.
        classes: Class names, in index order; empty = unknown.
        boxes: Boxes around the object by name; the region of a file is their union.
        maximum: Value of white in files of more than 8 bits; None = 65535.
        importance_maps: Importance maps by name; None = the regions are weak ones.
    """

    def __init__(
        self,
        root: Path,
        names: Sequence[str],
        labels: Sequence[int],
        classes: Sequence[str] = (),
        boxes: BoxTable | None = None,
        maximum: float | None = None,
        importance_maps: MapFolder | None = None,
    ) -> None:
        rows = sorted((_id_of(name), name, label) for name, label in zip(names, labels, strict=True))
        self.root = root
        self.ids = [row[0] for row in rows]
        self.names = [row[1] for row in rows]
        self.labels = [row[2] for row in rows]
        self.classes = list(classes)
        self.boxes: BoxTable = {} if boxes is None else boxes
        self.maximum = maximum
        self.importance_maps = importance_maps
        self._clipped, self._flat = Once(), Once()

    def image(self, index: int) -> Image.Image:
        """The sample as an RGB image, turned as its EXIF orientation says.

        Raises:
            OSError: The file cannot be read; the message says why.
        """
        return read_image(self.root / self.names[index], self.maximum)

    def region(self, index: int) -> Tensor | None:
        """The union of the boxes of a file, ``(H, W)`` bool in pixels of `image`; None where it has none.

        What sticks out of the picture is cut off, and told once if it is more than a pixel.

        Raises:
            OSError: The file cannot be read, or a box lies outside the picture; the message says why.
        """
        boxes = self.boxes.get(self.names[index])
        if boxes is None:
            return None
        height, width = image_size(self.root / self.names[index])
        try:
            mask, beyond = covered(boxes, height, width)
        except ValueError as error:
            raise OSError(str(error)) from None
        if beyond is not None:
            self._clipped.warn(
                f"boxes reach beyond their images and are cut off at the edge, such as {shown(beyond)} of "
                f"{printable(self.ids[index], 100)}, which has {width} x {height} pixels"
            )
        return mask

    def importance(self, index: int) -> Tensor | None:
        """The map of a file, or the mean of its participants', float32 ``(H, W)`` in pixels of `image`; None = unknown.

        A map that is the same everywhere says nothing, which is told once. Where no maps are given it is the region.

        Raises:
            OSError: A map or the picture cannot be read, or they do not fit; the message says why.
        """
        if self.importance_maps is None:
            return super().importance(index)
        if (found := self._maps(index)) is None:
            return None
        mean = found[0].mean(0)
        if bool((mean == mean[0, 0]).all()):
            self._flat.warn(
                "importance maps that are the same everywhere, all 0 say, do not tell what is important and count as no"
                f" map, such as that of {printable(self.ids[index], 100)}"
            )
        return mean

    def importances(self, index: int) -> Tensor | None:
        """The maps of a file's participants, float32 ``(P, H, W)``; None where it has one map or none.

        Raises:
            OSError: As `importance`.
        """
        found = self._maps(index)
        return found[0] if found is not None and found[1] else None

    def _maps(self, index: int) -> tuple[Tensor, bool] | None:
        name = self.names[index]
        if self.importance_maps is None or name not in self.importance_maps:
            return None
        return self.importance_maps.maps(name, *image_size(self.root / name))

    def files(self, index: int) -> Sequence[Path]:
        """The file of the sample."""
        return (self.root / self.names[index],)

    def region_version(self, index: int) -> str:
        """The boxes of the file, as text."""
        try:
            boxes = self.boxes.get(self.names[index])
        except (InputError, OSError) as error:
            return f"unreadable: {type(error).__name__}"
        return "" if boxes is None else ";".join(",".join(map(str, box)) for box in boxes)

    def importance_version(self, index: int) -> str:
        """Sizes and times of the files of its maps; where no maps are given, that of the region."""
        return (
            self.region_version(index)
            if self.importance_maps is None
            else self.importance_maps.version(self.names[index])
        )


def _id_of(name: str) -> str:
    r"""A file name as valid text: bytes that are not UTF-8 are written as escapes, as is the backslash itself.

    So no two files have one id.
    """
    return os.fsencode(name.replace("\\", "\\\\")).decode("utf-8", "backslashreplace")
