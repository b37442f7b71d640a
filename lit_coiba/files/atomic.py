"""Files that appear whole or not at all, whatever kills the process that writes them."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

_UNTOUCHED = 3600.0  # seconds after which a temporary file has no writer any more, wherever that ran
_LONGEST = 120  # characters of a name that its temporary file takes over: no name may have more than 255 bytes
_TEMPORARY = re.compile(r"\..+\.(?P<machine>[0-9a-f]{8})-(?P<pid>\d{1,10})-[0-9a-f]+\.tmp")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)  # what is there, or a link, is an error
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}  # errors of a write, which do not name its file


@contextmanager
def atomically(path: Path, exclusive: bool = False, durable: bool = True) -> Iterator[BinaryIO]:
    """A file to write that takes the name `path` when the block ends, and leaves nothing behind when it raises.

    The bytes are on disk before the name is, and the name is on disk before this returns. The temporary name is drawn
    at random, and nobody else's file is opened under it.

    Args:
        path: The final name; the temporary file lies in the same folder.
        exclusive: Whether to refuse to replace an existing file.
        durable: Whether to sync to disk. Without, a crash of the machine (not of the process) may leave an incomplete
            file.

    Raises:
        FileExistsError: `exclusive`, and another process was faster.
        OSError: The disk is full, the folder is read-only, ...
    """
    temporary = _aside(path)
    try:
        with os.fdopen(os.open(temporary, _NEW, 0o666), "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if exclusive:
            _link(temporary, path)
        else:
            os.replace(temporary, path)
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        if error.filename == str(temporary) or (error.filename is None and error.errno in _DISK):
            error.filename = str(path)
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` that nobody else has, and that is gone when the block ends, whatever is in it then."""
    folder = _aside(path)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove temporary files whose writer was killed; those that a live process may be writing stay.

    The writer is dead if its process is gone from this machine. Of another machine's processes (or another
    container's) nothing is known: their files go when nobody has touched them for an hour; a block takes seconds.

    Args:
        folder: The folder.
        name: Name of the file that they were to become; None = any.
    """
    for path in folder.iterdir():
        match = _TEMPORARY.fullmatch(path.name)
        if match is None or (name is not None and not path.name.startswith(f".{name}.")):
            continue
        with suppress(OSError):  # another process was faster, or may not be meddled with
            dead = match["machine"] == _machine() and not _alive(int(match["pid"]))
            if dead or time.time() - path.stat().st_mtime > _UNTOUCHED:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def writer() -> str:
    """Who this is: the machine and the number of the process."""
    return f"{_machine()}-{os.getpid()}"


def is_writing(name: str) -> bool:
    """Whether a `writer` of that name may be alive: one of another machine may always be."""
    machine, _, pid = name.strip().partition("-")
    if not machine:  # what a power cut left
        return False
    return machine != _machine() or not pid.isdigit() or _alive(int(pid))


def _aside(path: Path) -> Path:
    """A name beside `path` that nobody can foresee, and that says who is writing."""
    return path.with_name(f".{path.name[:_LONGEST]}.{writer()}-{secrets.token_hex(8)}.tmp")


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


def sync_folder(folder: Path) -> None:
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
