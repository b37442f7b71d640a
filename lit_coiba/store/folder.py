"""What a folder of a store looks like, so that no other is taken for one."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.files.given_path import given_path
from lit_coiba.files.owned import HEAD, begins, check_own_folder
from lit_coiba.store.foreign import foreign_blocks
from lit_coiba.store.manifest import FILE_NAME, Manifest

FOLDER = "blocks"
STATISTICS = "statistics.safetensors"  # in a store whose run estimated them

is_statistics = begins('"lit_coiba.statistics":', within=HEAD)  # whether a file holds them, by its header


def check_folder(path: str | os.PathLike[str]) -> Path:
    """A folder that a store may be in.

    Raises:
        InputError: It is a file, or others' files are in it.
    """
    folder = given_path(path, "store")
    if folder.exists() and not folder.is_dir():
        raise InputError(
            f"store {printable(folder, 200)} cannot be written (it is a file, not a folder): fix the permissions or "
            "choose another folder"
        )
    check_own_folder(folder, "store", is_store, before_manifest)
    return folder


def check_blocks(folder: Path, known: Collection[str]) -> None:
    """Refuse a folder of blocks in which something else has the name of a block, which would be replaced.

    Args:
        folder: The folder.
        known: Names of files that are blocks.

    Raises:
        InputError: It has; the message names it.
    """
    if names := foreign_blocks(folder, known):
        raise InputError(
            f"store {printable(folder.parent, 200)} has a file that is none of its blocks, {folder.name}/{names[0]}: "
            "move it away"
        )


def is_store(folder: Path) -> bool:
    """Whether a folder has the manifest of a store, readable or not; that of concepts names its verb."""
    return (folder / FILE_NAME).is_file() and "verb" not in _identity(folder)


def is_explained(folder: Path) -> bool:
    """Whether a folder is one of explanations or of scores, and not of prototypes, whose manifest is alike."""
    return is_store(folder) and "patches" not in _identity(folder)


def _identity(folder: Path) -> dict[str, Any]:
    """What a manifest says; nothing where it is damaged."""
    try:
        return Manifest.load(folder).identity
    except (InputError, OSError):
        return {}


def before_manifest(entry: Path) -> bool:
    """Whether an entry of a folder is what a run writes before the manifest, or blocks whose manifest is lost."""
    if entry.name == FOLDER and entry.is_dir():
        return all(name.startswith(".") or name.endswith(".parquet") for name in os.listdir(entry))
    return is_parts(entry, STATISTICS) or (entry.name == STATISTICS and is_statistics(entry))


def is_parts(folder: Path, name: str) -> bool:
    """Whether a folder holds the parts of the statistics that will go to a file called `name` beside it."""
    return re.fullmatch(rf"{re.escape(name)}\.[0-9a-f]{{12}}\.parts", folder.name) is not None and folder.is_dir()
