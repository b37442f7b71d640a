"""Things that processes share out among themselves by files: what one of them has in hand, the others leave to it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from lit_coiba.files.atomic import atomically, is_writing, writer
from lit_coiba.files.regular import read_bytes

FRESH = 600.0  # seconds that a process may be silent, before what it has in hand is free
BEAT = 5.0  # seconds between two signs of life


class Claims:
    """What the processes that write to a folder have in hand, a file for each thing.

    What a dead process of this machine had is free; of another machine's nothing is known but when it last gave a sign
    of life. In the worst case two processes do the same, so what they do must be the same too.

    Args:
        folder: Folder of the files; made when the first thing is taken.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own: set[str] = set()
        self._beaten = 0.0

    def take(self, name: str) -> bool:
        """Whether the thing is this process's now.

        Raises:
            OSError: The folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._held(name):
            return False
        with suppress(OSError):
            self._file(name).unlink(missing_ok=True)
        try:
            with atomically(self._file(name), exclusive=True, durable=False) as out:
                out.write(writer().encode())
        except FileExistsError:  # another one was faster
            return False
        self._own.add(name)
        return True

    def beat(self) -> None:
        """Give a sign of life, if it is time for one."""
        if time.monotonic() - self._beaten >= BEAT:
            self._beaten = time.monotonic()
            for name in self._own:
                with suppress(OSError):
                    os.utime(self._file(name))

    def release(self, names: Iterable[str]) -> None:
        """Leave things to whoever wants them."""
        for name in names:
            self._own.discard(name)
            with suppress(OSError):
                self._file(name).unlink(missing_ok=True)

    def _held(self, name: str) -> bool:
        """Whether a process that may be alive has the thing."""
        file = self._file(name)
        try:
            return time.time() - file.stat().st_mtime < FRESH and is_writing(read_bytes(file).decode(errors="replace"))
        except OSError:
            return False

    def _file(self, name: str) -> Path:
        return self.folder / name
