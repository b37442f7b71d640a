"""Folders of numbered pages: what is drawn replaces what was drawn before, and nothing else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.files.atomic import temporary_folder
from lit_coiba.files.owned import check_own_file
from lit_coiba.files.png import is_our_png

_NAME = re.compile(r"\d{1,6}(_\w*)?\.png")  # a number, and what it is of


def check_pages(folder: Path) -> None:
    """Refuse a folder in which pictures of others have names of pages.

    Raises:
        InputError: It has, or it is a file.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise InputError(f"{printable(folder, 200)} is a file, and pages go into a folder of this name: move it away")
    for file in _pages(folder):
        check_own_file(file, "pages", is_our_png)


@contextmanager
def page_folder(folder: Path) -> Iterator[Path]:
    """A folder to draw pages in. They take the place of those of an earlier call when all of them are drawn.

    Args:
        folder: Where they go.

    Raises:
        InputError: Pictures of others have names of pages there.
    """
    check_pages(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(folder) as drawn:
        yield drawn
        names = {file.name for file in _pages(drawn)}
        if names and not os.path.lexists(folder):
            with suppress(OSError):  # another run was faster, and made it meanwhile
                drawn.rename(folder)
                return
        for name in names:
            folder.mkdir(exist_ok=True)
            os.replace(drawn / name, folder / name)
        for old in _pages(folder):
            if old.name not in names and is_our_png(old):
                old.unlink(missing_ok=True)


def _pages(folder: Path) -> list[Path]:
    """What has the name of a page in a folder; nothing where there is none."""
    try:
        return sorted(file for file in folder.iterdir() if _NAME.fullmatch(file.name))
    except OSError:
        return []
