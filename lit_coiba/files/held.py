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
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / HOLD
    for _ in range(_ATTEMPTS):
        with suppress(FileExistsError):
            with atomically(file, exclusive=True) as out:
                out.write(writer().encode())
            break
        with suppress(OSError):
            if not is_writing(read_bytes(file).decode(errors="replace")):
                file.unlink()
    else:
        raise InputError(
            f"another {what} is writing to {printable(folder, 200)}: choose another {argument}, or remove "
            f"{file.name} there if none is"
        )
    try:
        yield
    finally:
        with suppress(OSError):
            os.unlink(file)
