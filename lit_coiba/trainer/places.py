"""Whether a run can write to its folder, which is its own, and continue with what is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.data.module import BlockDataModule
from lit_coiba.files.given_path import given_path
from lit_coiba.files.owned import check_apart, check_own_folder, nobody
from lit_coiba.files.regular import clause
from lit_coiba.store import ExplanationStore, Manifest
from lit_coiba.store.folder import STATISTICS, before_manifest, is_explained
from lit_coiba.store.manifest import FILE_NAME


def check_place(path: Path, argument: str) -> None:
    """Refuse a path that nothing can be written below, before hours are spent on what would go there.

    Raises:
        InputError: It is below a file, or read-only.
    """
    try:
        nearest = next((place for place in (path, *path.absolute().parents) if os.path.lexists(place)), Path("/"))
        folder = nearest.is_dir()
    except OSError as error:  # a name that is too long, a working folder that was removed
        raise InputError(f"{argument} {printable(path, 200)} cannot be written: {clause(error)}") from error
    if not folder:
        raise InputError(
            f"{argument} {printable(path, 200)} cannot be written ({printable(nearest, 200)} is a file, not a folder): "
            "choose another folder"
        )
    if not os.access(nearest, os.W_OK):
        raise InputError(
            f"{argument} {printable(path, 200)} cannot be written ({printable(nearest, 200)} is read-only): fix the "
            "permissions or choose another folder"
        )


def place_of(
    path: str | os.PathLike[str],
    argument: str,
    data: BlockDataModule,
    made: Callable[[Path], bool],
    known: Callable[[Path], bool] = nobody,
) -> Path:
    """The folder that a run may write to: given, writable, its own, and apart from the images.

    Args:
        path: What was given.
        argument: Name of the argument.
        data: The data, whose folders are no place for results.
        made: Whether a folder is the verb's, see `check_own_folder`.
        known: Whether an entry of a folder that is not marked is the verb's.

    Raises:
        InputError: It may not; nothing has been written.
    """
    folder = given_path(path, argument)
    check_place(folder, argument)
    check_apart(folder, argument, image_folders(data))
    check_own_folder(folder, argument, made, known)
    return folder


def store_place(path: str | os.PathLike[str], data: BlockDataModule) -> Path:
    """The folder of a store that a run may write to.

    Raises:
        InputError: It may not.
    """
    return place_of(path, "store", data, is_explained, before_manifest)


def image_folders(data: Any) -> list[Path]:
    """Where the images of a data module lie, as far as it says."""
    return [
        Path(root)
        for root in (getattr(data, "root", None), getattr(getattr(data, "place", None), "folder", None))
        if root
    ]


def check_store(folder: Path, identity: dict[str, Any]) -> bool:
    """Whether there is a store to go on with; another identity is refused before statistics are estimated in vain.

    Raises:
        InputError: The folder cannot be written, or holds explanations that were made with other arguments.
    """
    check_place(folder, "store")
    if not (folder / FILE_NAME).exists():
        return False
    kept = ExplanationStore(folder)
    return kept.accepts(Manifest({**identity, "statistics": kept.manifest.identity.get("statistics")}))


def has_statistics(folder: Path, identity: dict[str, Any]) -> bool:
    """Whether there is a store of this identity with statistics in it, which are then the ones to use."""
    return check_store(folder, identity) and (folder / STATISTICS).exists()
