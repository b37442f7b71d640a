"""Image files below a folder as a dataset, and how the files of a folder are found."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.files.file_table import Box
from lit_coiba.data.files.image_file import EXTENSIONS, image_size, read_image


class BoxTable(Protocol):
    """Boxes around the objects in image files, such as a dict."""

    def get(self, name: str, /) -> list[Box] | None:
        """Those of a file; None where it has none."""


class FileDataset(ImageDataset):
    """Image files below a root; the id of a file is its path relative to it.

    Args:
        root: The folder that `names` are relative to.
        names: Relative POSIX paths, in any order.
        labels: Class index of each, -1 = none.
        classes: Class names, in index order; empty = unknown.
        boxes: Boxes around the object by name; the region of a file is their union.
    """

    def __init__(
        self,
        root: Path,
        names: Sequence[str],
        labels: Sequence[int],
        classes: Sequence[str] = (),
        boxes: BoxTable | None = None,
    ) -> None:
        rows = sorted((_printable(name), name, label) for name, label in zip(names, labels, strict=True))
        self.root = root
        self.ids = [row[0] for row in rows]
        self.names = [row[1] for row in rows]
        self.labels = [row[2] for row in rows]
        self.classes = list(classes)
        self.boxes: BoxTable = {} if boxes is None else boxes

    def image(self, index: int) -> Image.Image:
        """The sample as an RGB image, turned as its EXIF orientation says.

        Raises:
            OSError: The file cannot be read; the message says why.
        """
        return read_image(self.root / self.names[index])

    def region(self, index: int) -> Tensor | None:
        """The union of the boxes of a file, ``(H, W)`` bool in pixels of `image`; None where it has none.

        Raises:
            OSError: The file cannot be read; the message says why.
        """
        boxes = self.boxes.get(self.names[index])
        if boxes is None:
            return None
        mask = torch.zeros(image_size(self.root / self.names[index]), dtype=torch.bool)
        for box in boxes:
            mask[max(box.y_min, 0) : max(box.y_max + 1, 0), max(box.x_min, 0) : max(box.x_max + 1, 0)] = True
        return mask

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


def find_images(folder: Path) -> list[str]:
    """Image files in a folder and all below it, as relative POSIX paths, sorted; hidden ones are left out.

    Links are followed, also out of the folder, but not round in a circle.

    Raises:
        InputError: A folder cannot be listed.
    """
    return sorted(_walk(str(folder), "", frozenset()))


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted; hidden ones are left out."""
    return sorted(entry.name for entry in _entries(str(folder)) if entry.is_dir())


def class_folders(folder: Path) -> list[str]:
    """Names of the folders in a folder that stand for a class: with an image somewhere below, or quite empty."""
    return [
        name
        for name in subfolders(folder)
        if next(_walk(str(folder / name), "", frozenset()), None) is not None or not os.listdir(folder / name)
    ]


def _walk(folder: str, below: str, above: frozenset[str]) -> Iterator[str]:
    real = os.path.realpath(folder)
    if real in above:
        return
    for entry in _entries(folder):
        if entry.is_dir():
            yield from _walk(entry.path, f"{below}{entry.name}/", above | {real})
        elif entry.name.lower().endswith(EXTENSIONS) and (entry.is_file() or entry.is_symlink()):
            yield below + entry.name


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(f"root: cannot list the folder {folder}: {error.strerror}") from error


def _printable(name: str) -> str:
    """A file name as valid text: bytes that are not UTF-8 are written as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
