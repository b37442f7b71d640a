"""Paths that the user gave."""

from __future__ import annotations

from pathlib import Path

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable


def given_path(text: str, name: str) -> Path:
    """A path from an argument, with ``~`` replaced by the home folder.

    Args:
        text: What was given.
        name: The argument.

    Raises:
        InputError: It is empty, as a variable of a shell is that is not set, or names no user's home.
    """
    if not text.strip():
        raise InputError(f"{name} is empty: give a path, or leave it out if it is optional")
    if "\0" in text:
        raise InputError(f"{name} is {printable(text, 100)!r}, which no file is called")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise InputError(f"{name} is {printable(text, 100)}: there is no user of this name") from None
