"""Whose a file is: a verb replaces and removes what it made itself, and refuses a folder that is not its own.

A folder that a verb made has a marker: the manifest of a store or of prototypes, what an export says of itself, else
`MARKER`. Files that are replaced are told by how they begin.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.files.atomic import atomically, remove_leftovers
from lit_coiba.files.regular import clause, open_regular, read_bytes

MARKER = "lit-coiba.json"
HEAD = 2**16  # bytes that are looked at

_LOGS = (".log", ".out", ".err")  # what a shell or a queue writes of this very run
_SHOWN = 80  # characters of a name in a message


def nobody(path: Path) -> bool:
    """Nothing is known without a marker."""
    return False


def check_own_folder(
    folder: Path, argument: str, made: Callable[[Path], bool], known: Callable[[Path], bool] = nobody
) -> None:
    """Refuse a folder that has files of others, before any work. Hidden files, empty ones and logs do not count.

    Args:
        folder: The folder, or what will be one.
        argument: Name of the argument that gives it.
        made: Whether the folder has the marker of the verb.
        known: Whether an entry of a folder without marker is the verb's: an older version, or a run that was killed
            early, left none.

    Raises:
        InputError: It has; the message names one of them.
    """
    try:
        if not folder.is_dir():
            return
        entries = sorted(folder.iterdir())
        if made(folder):  # after the list: another process of the same run may write the marker, then its files
            return
        for entry in entries:
            hidden, log = entry.name.startswith("."), entry.suffix in _LOGS
            if not (hidden or log or known(entry) or _is_empty(entry)):
                raise InputError(
                    f"{argument} {printable(folder, 200)} is not a folder of this verb, and has other files, such as "
                    f"{printable(entry.name, _SHOWN)}: give a new or an empty folder"
                )
    except OSError as error:
        raise InputError(f"{argument} {printable(folder, 200)} cannot be used: {clause(error)}") from error


def check_own_file(file: Path, argument: str, ours: Callable[[Path], bool]) -> None:
    """Refuse a name under which something else stands that would be replaced. An empty file is nobody's.

    Raises:
        InputError: Something else does.
    """
    if is_foreign(file, ours):
        raise InputError(
            f"{argument}: {printable(file, 200)} is there, and is not what this version of lit-coiba writes, or "
            "damaged: move it away, or choose another name or folder"
        )


def is_foreign(file: Path, ours: Callable[[Path], bool]) -> bool:
    """Whether something stands under a name that is neither ours nor an empty file."""
    try:
        if not os.path.lexists(file):
            return False
        if file.is_symlink() or not file.is_file():
            return True
        return file.stat().st_size > 0 and not ours(file)
    except OSError:
        return True


def begins(*beginnings: str | bytes, within: int = 0) -> Callable[[Path], bool]:
    """A test of files: they begin with one of these texts or, with `within`, have it in so many first bytes."""
    wanted = [text.encode() if isinstance(text, str) else text for text in beginnings]

    def test(file: Path) -> bool:
        try:
            with open_regular(file) as stream:
                head = stream.read(within or max(map(len, wanted)))
        except OSError:
            return False
        return any(text in head if within else head.startswith(text) for text in wanted)

    return test


def has_keys(*keys: str) -> Callable[[Path], bool]:
    """A test of files: they are JSON, a mapping with these keys."""

    def test(file: Path) -> bool:
        try:
            told = json.loads(read_bytes(file))
        except (OSError, ValueError, RecursionError):
            return False
        return isinstance(told, dict) and all(key in told for key in keys)

    return test


def is_marked(folder: Path, verb: str) -> bool:
    """Whether `claim_folder` has marked the folder for a verb."""
    try:
        told = json.loads(read_bytes(folder / MARKER, HEAD))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(told, dict) and told.get("made by") == verb


def claim_folder(folder: Path, argument: str, verb: str, known: Callable[[Path], bool] = nobody) -> None:
    """Make a folder, mark it as the verb's, and remove what runs that were killed have left in it.

    Args:
        folder: The folder.
        argument: Name of the argument that gives it.
        verb: What the marker says.
        known: See `check_own_folder`.

    Raises:
        InputError: It is not the verb's.
        OSError: It cannot be written.
    """
    check_own_folder(folder, argument, lambda found: is_marked(found, verb), known)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    if not is_marked(folder, verb):
        with suppress(FileExistsError), atomically(folder / MARKER, exclusive=True) as out:
            out.write(f"{json.dumps({'made by': verb})}\n".encode())


def remove_made(folder: Path, made: Callable[[Path], bool]) -> None:
    """Remove the files of a folder that are the caller's, and the folder where nothing else is in it.

    Another run may do so at the same time.
    """
    with suppress(OSError):
        remove_leftovers(folder)
        for entry in list(folder.iterdir()):
            if not entry.is_symlink() and entry.is_file() and made(entry):
                entry.unlink(missing_ok=True)
        folder.rmdir()


def check_apart(folder: Path, argument: str, images: Sequence[Path]) -> None:
    """Refuse a folder for results that is, contains, or lies in a folder of images.

    Raises:
        InputError: It does: results would become images, or images would lie among results.
    """
    place = _real(folder)
    for root in images:
        other = _real(root)
        if place == other or other in place.parents:
            raise InputError(
                f"{argument} {printable(folder, 200)} lies in the folder of the images {printable(root, 120)}: "
                "choose a folder outside of it"
            )
        if place in other.parents:
            raise InputError(
                f"{argument} {printable(folder, 200)} contains the folder of the images {printable(root, 120)}: "
                "choose another folder"
            )


def _is_empty(entry: Path) -> bool:
    """Whether nothing is in a file or a folder that could be lost, or another process has removed it by now."""
    try:
        found = entry.lstat()
        if stat.S_ISDIR(found.st_mode):
            return not any(entry.iterdir())
    except FileNotFoundError:
        return True
    return stat.S_ISREG(found.st_mode) and not found.st_size


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path.expanduser()))
