"""Processes that read files for one that is killed: they would outlive it by seconds, until they notice it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def readers_of(process: int) -> list[int]:
    """The forks of a process, which run the same command, as those do that read files; none without ``/proc``.

    Other processes that it started may clear up after it, and are left.
    """
    command, found = _command(process), list[int]()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            # The name, in brackets, may hold anything; the state and the parent come after it.
            parent = int(status.read_text(errors="replace").rpartition(") ")[2].split()[1])
            number = int(status.parent.name)
            if parent == process and _command(number) == command:
                found.append(number)
    return found


def kill_all(processes: Iterable[int]) -> None:
    """Kill processes that have nothing to finish; those that have ended meanwhile are no error."""
    for number in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(number, signal.SIGKILL)


def _command(process: int) -> bytes:
    """What a process runs; nothing where it is gone."""
    try:
        return Path("/proc", str(process), "cmdline").read_bytes()
    except OSError:
        return b""
