"""Files that appear whole or not at all, whatever kills the process that writes them."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

_UNTOUCHED = 3600.0  # seconds after which a temporary file has no writer any more, wherever that ran
_TEMPORARY = re.compile(r"\..+\.(?P<machine>[0-9a-f]{8})-(?P<pid>\d{1,10})-\d+\.tmp")
_count = itertools.count()


@contextmanager
def atomically(path: Path, exclusive: bool = False, durable: bool = True) -> Iterator[BinaryIO]:
    """A file to write that takes the name `path` when the block ends, and leaves nothing behind when it raises.

    The bytes are on disk before the name is, and the name is on disk before this returns.

    Args:
        path: The final name; the temporary file lies in the same folder.
        exclusive: Whether to refuse to replace an existing file.
        durable: Whether to sync to disk. Without, a crash of the machine (not of the process) may leave an incomplete
            file.

    Raises:
        FileExistsError: `exclusive`, and another process was faster.
        OSError: The disk is full, the folder is read-only, ...
    """
    temporary = path.with_name(f".{path.name}.{_machine()}-{os.getpid()}-{next(_count)}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if exclusive:
            _link(temporary, path)
        else:
            os.replace(temporary, path)
        if durable:
            _sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files whose writer was killed; those that a live process may be writing stay.

    The writer is dead if its process is gone from this machine. Of another machine's processes (or another
    container's) nothing is known: their files go when nobody has touched them for an hour; a block takes seconds.
    """
    for path in folder.iterdir():
        match = _TEMPORARY.fullmatch(path.name)
        if match is None:
            continue
        with suppress(OSError):  # another process was faster, or may not be meddled with
            dead = match["machine"] == _machine() and not _alive(int(match["pid"]))
            if dead or time.time() - path.stat().st_mtime > _UNTOUCHED:
                path.unlink()


def _link(temporary: Path, path: Path) -> None:
    """Give a file its name unless the name is taken: a hard link, where the file system has them."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        os.replace(temporary, path)


def _sync_folder(folder: Path) -> None:
    """Put the names in a folder on disk."""
    if os.name == "nt":  # Windows has no way to open a folder for this
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot, and need not
            raise
    finally:
        os.close(descriptor)


@lru_cache(maxsize=1)
def _machine() -> str:
    """A short name of where a process number means something: this host and, in a container, this container."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return hashlib.sha256(f"{platform.node()} {namespace}".encode()).hexdigest()[:8]


def _alive(pid: int) -> bool:
    """Whether this machine runs a process of that number; True where that cannot be asked."""
    if os.name == "nt":  # os.kill(pid, 0) would send Ctrl-C there
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return True
