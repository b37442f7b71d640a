"""Paths that the user gave."""

from __future__ import annotations

import os
import re
from pathlib import Path

from lit_coiba.core.errors import InputError, class_or_kind
from lit_coiba.core.printable import printable

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def given_path(given: str | os.PathLike[str], name: str) -> Path:
    """A path from an argument, with ``~`` replaced by the home folder.

    Args:
        given: What was given: text, or a path of `pathlib`.
        name: The argument.

    Raises:
        InputError: It is no path, a URL, empty, as a variable of a shell is that is not set, or names no user's home.
    """
    if not isinstance(text := os.fspath(given) if isinstance(given, os.PathLike) else given, str):
        raise InputError(f"{name} is {class_or_kind(given)}: give a path, as text or a pathlib.Path")
    if _URL.match(text):
        raise InputError(f"{name} is the URL {printable(text, 100)}: mount or download it, and give the local path")
    if not text.strip():
        raise InputError(
            f"{name} is empty: give a path, or leave it out if it is optional (a variable of the shell may not be set)"
        )
    if "\0" in text:
        raise InputError(f"{name} is {printable(text, 100)!r}, which no file is called")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise InputError(f"{name} is {printable(text, 100)}: there is no user of this name") from None
