"""A folder of importance maps: a file for an image, or a folder of a file for each participant."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.data.files.map_file import ENDINGS, read_map
from lit_coiba.data.fingerprint import files_version
from lit_coiba.files.given_path import given_path

_ALL = (*ENDINGS, *(ending.upper() for ending in ENDINGS))


class MapFolder:
    """Maps under the relative paths of their images, with another ending or none.

    The map of ``cat/7.jpg`` is ``cat/7.png``, ``.jpg``, ``.jpeg`` or ``.npy``; with several participants theirs are the
    files of these kinds in the folder ``cat/7``.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def __contains__(self, name: str) -> bool:
        """Whether an image has a map."""
        try:
            return bool(self.files(name)[0])
        except OSError:  # told where it is read
            return True

    def files(self, name: str) -> tuple[list[Path], bool]:
        """The files of an image's maps, sorted; none if it has no map. And whether they are of participants.

        Raises:
            OSError: There are several maps of one image, or a folder cannot be listed.
        """
        place = self.root / PurePosixPath(name).with_suffix("")
        one = [file for ending in _ALL if os.path.isfile(file := place.with_name(place.name + ending))]
        one = [file for k, file in enumerate(one) if not any(os.path.samefile(file, other) for other in one[:k])]
        many = sorted(place.iterdir()) if os.path.isdir(place) else []
        many = [file for file in many if file.suffix in _ALL and not file.name.startswith(".")]
        if len(one) + bool(many) > 1:
            found = [file.name for file in one] + [f"{place.name}/"] * bool(many)
            raise OSError(
                f"it has several importance maps in {printable(place.parent, 200)}, {' and '.join(found)}: keep one"
                " file, or a folder of one for each participant"
            )
        return one or many, bool(many)

    def maps(self, name: str, height: int, width: int) -> tuple[Tensor, bool] | None:
        """An image's maps, float32 ``(P, height, width)``, and whether they are of participants; None without a map.

        Args:
            name: Relative path of the image.
            height: Its rows.
            width: Its columns.

        Raises:
            OSError: A file cannot be read, or its map is none of this image; the message says why.
        """
        files, many = self.files(name)
        return (torch.stack([read_map(file, height, width) for file in files]), many) if files else None

    def version(self, name: str) -> str:
        """A text that changes when a map of an image does; empty where it has none."""
        try:
            files = self.files(name)[0]
        except OSError as error:
            return f"unreadable: {type(error).__name__}"
        return ";".join(f"{file.name} {files_version([file])}" for file in files)


def map_folder(given: str, images: Path, listed: bool) -> MapFolder:
    """A folder of maps that the user gave.

    Args:
        given: Its path.
        images: The folder of the images.
        listed: Whether a table says which files there are images.

    Raises:
        InputError: It is no folder, or its maps would be taken for images.
    """
    folder = given_path(given, "importance")
    if not folder.is_dir():
        what = "is not a folder" if os.path.lexists(folder) else "does not exist"
        raise InputError(f"importance: {printable(folder, 200)} {what}: give the folder of the importance maps")
    inside = images.resolve() in folder.resolve().parents and not listed
    if inside or (images.is_dir() and folder.samefile(images)):
        raise InputError(
            f"importance: {printable(folder, 200)} lies in the folder of the images, where maps would be taken for"
            " images: move it beside that folder"
        )
    return MapFolder(folder)
