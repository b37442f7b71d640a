"""A folder that one process writes to at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.files.atomic import atomically, is_writing, writer
from lit_coiba.files.regular import read_bytes

HOLD = ".lit-coiba-running"  # in the folder; says who
_ATTEMPTS = 5


@contextmanager
def held(folder: Path, argument: str, what: str) -> Iterator[None]:
    """Within this, no other process that asks for it gets the folder. What a dead process held is free.

    Args:
        folder: The folder; made where there is none.
        argument: Name of the argument that gives it.
        what: What writes to it, such as ``fit``.

    Raises:
        InputError: Another process has it.
        OSError: It cannot be written.
    """
    with free(folder) as ours:
        if not ours:
            raise InputError(
                f"another {what} is writing to {printable(folder, 200)}: choose another {argument}, or remove {HOLD}"
                " there if none is"
            )
        yield


@contextmanager
def free(folder: Path) -> Iterator[bool]:
    """Within this, no other process gets the folder, if it is free; False = another one has it.

    Args:
        folder: The folder; made where there is none.

    Raises:
        OSError: It cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / HOLD
    ours = _take(file)
    try:
        yield ours
    finally:
        if ours:
            with suppress(OSError):
                os.unlink(file)


def _take(file: Path) -> bool:
    """Put our name into a file that no living process has its own in."""
    for _ in range(_ATTEMPTS):
        with suppress(FileExistsError):
            with atomically(file, exclusive=True) as out:
                out.write(writer().encode())
            return True
        with suppress(OSError):
            if not is_writing(read_bytes(file).decode(errors="replace")):
                file.unlink()
    return False
