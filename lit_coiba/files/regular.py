"""Opening what others have made: regular files only, and no more of them than is sensible.

A named pipe would be waited for, a device has no end, a link may point to itself, and a file may be larger than memory.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable

MEGABYTE = 2**20
TEXT_LIMIT = 64 * MEGABYTE  # of tables, class names, configurations, descriptions

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """A regular file, opened for reading; nothing else is ever waited for or opened.

    Raises:
        OSError: There is no such file, it is no regular file, it may not be read, or its name is too long. `strerror`
            says why in one clause, and `filename` names it.
    """
    name = os.fspath(path)
    try:
        _check(os.stat(name), name)  # first without opening: opening some devices has consequences
        descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ValueError as error:  # a NUL in the name
        raise OSError(errno.EINVAL, "the name of the file cannot be one", printable(name)) from error
    try:
        _check(os.fstat(descriptor), name)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bytes(path: str | os.PathLike[str], limit: int = TEXT_LIMIT) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Raises:
        OSError: As `open_regular`, or the file is larger.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = b"" if size > limit else file.read(size + 1)  # which is how much memory is taken
    if max(size, len(content)) > limit:
        most = f"{limit // MEGABYTE} MB" if limit >= MEGABYTE else f"{limit // 1024} KB"
        raise OSError(errno.EFBIG, f"the file has more than {most}, which is refused", os.fspath(path))
    return content


def read_text(path: str | os.PathLike[str], what: str, limit: int = TEXT_LIMIT) -> str:
    """The UTF-8 text in a regular file, without a byte order mark.

    Args:
        path: The file.
        what: What to call it in an error, such as the argument that names it: ``csv``.
        limit: The most bytes that it may have.

    Raises:
        InputError: It cannot be read, is larger, or is no UTF-8.
    """
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{what}: {path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from error
    except OSError as error:
        raise InputError(f"{what}: {path} cannot be read: {clause(error)}") from error


def clause(error: OSError) -> str:
    """Why a file cannot be used, as the end of a sentence, without its name."""
    text = error.strerror or str(error) or type(error).__name__
    return text[:1].lower() + text[1:]


def is_regular(path: str | os.PathLike[str]) -> bool:
    """Whether a regular file, or a link to one, has this name; no name is too long or too strange to ask for."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def _check(found: os.stat_result, name: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        code = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL
        raise OSError(code, f"{kind}, not a regular file", name)
