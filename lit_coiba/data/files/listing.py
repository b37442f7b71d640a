"""What files lie in a folder: images, and what else; folders of other programs are not looked at."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.data.files.image_file import EXTENSIONS

# Folders that file systems, servers and archives make, in any case; those that begin with a dot are hidden anyway.
_NOT_OURS = frozenset(
    name.replace("&", " ")
    for names in (
        "@eadir @recycle @recently-snapshot @tmp #recycle #snapshot lost+found $recycle.bin found.000 __macosx",
        "system&volume&information network&trash&folder temporary&items __pycache__ lightning_logs",
    )
    for name in names.split()
)


class Listing(NamedTuple):
    """The files in a folder and below it.

    Attributes:
        images: Relative POSIX paths of image files, sorted.
        others: How many other files there are, by the first folder on the path to them ("" = none) and by their ending
            ("" = none).
    """

    images: list[str]
    others: Counter[tuple[str, str]]


def list_files(folder: Path) -> Listing:
    """All files in a folder and below it; hidden ones and those of other programs are left out.

    Links are followed, also out of the folder, but not round in a circle. A link that leads nowhere counts as what its
    name says.

    Raises:
        InputError: A folder cannot be listed.
    """
    images: list[str] = []
    others: Counter[tuple[str, str]] = Counter()
    for below, is_image in _walk(str(folder)):
        if is_image:
            images.append(below)
        else:
            first, slash, _ = below.partition("/")
            others[first if slash else "", os.path.splitext(below.rpartition("/")[2])[1].lower()] += 1
    return Listing(sorted(images), others)


def find_images(folder: Path) -> list[str]:
    """The image files of `list_files`.

    Raises:
        InputError: A folder cannot be listed.
    """
    return list_files(folder).images


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted; hidden ones and those of other programs are left out.

    Raises:
        InputError: The folder cannot be listed.
    """
    return sorted(entry.name for entry in _entries(str(folder)) if _is_folder(entry))


def class_folders(folder: Path) -> list[str]:
    """Names of the folders in a folder that hold an image, at any depth."""
    return [name for name in subfolders(folder) if holds(folder / name) == "images"]


def holds(folder: Path) -> str:
    """What `list_files` of the folder above finds in one: ``images``, other ``files``, or ``nothing``.

    A link back to the folder above holds nothing: it is a circle.

    Raises:
        InputError: A folder cannot be listed.
    """
    found = "nothing"
    for _, is_image in _walk(str(folder), frozenset({_identity(str(folder.parent))})):
        if is_image:
            return "images"
        found = "files"
    return found


def _walk(folder: str, above: frozenset[object] = frozenset()) -> Iterator[tuple[str, bool]]:
    """Relative POSIX path of each file, and whether it is an image; folders that are `above` are not entered."""
    waiting: list[tuple[str, str, frozenset[object]]] = [(folder, "", above)]
    while waiting:
        path, below, above = waiting.pop()
        itself = _identity(path)
        if itself in above:
            continue
        inside = above | {itself}
        for entry in _entries(path):
            if _is_folder(entry):
                waiting.append((entry.path, f"{below}{entry.name}/", inside))
            else:
                yield below + entry.name, entry.name.lower().endswith(EXTENSIONS) and _may_be_read(entry)


def _identity(folder: str) -> object:
    """What a folder is, whichever links lead to it."""
    try:
        found = os.stat(folder)
    except OSError:  # told when it is listed
        return folder
    return (found.st_dev, found.st_ino) if found.st_ino else os.path.realpath(folder)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not (entry.name.startswith(".") or _is_others(entry))]
    except OSError as error:
        raise InputError(f"root: cannot list the folder {printable(folder, 200)}: {error.strerror}") from error


def _is_others(entry: os.DirEntry[str]) -> bool:
    return entry.name.lower() in _NOT_OURS and _is_folder(entry)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _may_be_read(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file, or a link, of which reading tells whether it leads to one; pipes and devices are not."""
    try:
        return entry.is_symlink() or entry.is_file()
    except OSError:
        return False
