"""Whether a run can write to its folder, and continue with what is there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lit_coiba.core.errors import InputError
from lit_coiba.store import ExplanationStore, Manifest
from lit_coiba.store.manifest import FILE_NAME
from lit_coiba.store.store import STATISTICS


def check_place(path: Path, argument: str) -> None:
    """Refuse a path that nothing can be written below, before hours are spent on what would go there.

    Raises:
        InputError: It is below a file, or read-only.
    """
    nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise InputError(
            f"{argument} {path} cannot be written ({nearest} is a file, not a folder): choose another folder"
        )
    if not os.access(nearest, os.W_OK):
        raise InputError(
            f"{argument} {path} cannot be written ({nearest} is read-only): fix the permissions or choose another "
            "folder"
        )


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
