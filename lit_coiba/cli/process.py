"""What belongs to the command as a process: its output, its warnings, its signals."""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

from lit_coiba.cli import terminal
from lit_coiba.core.ending import Stopped, leaving_on_signals

HUNG_UP = 141  # what shells give for a process that writes to nobody: 128 and the number of SIGPIPE


def run_process(main: Callable[[], int]) -> int:
    """Run a command as this process, and see to it that what it has said is read, or nobody there to read it.

    Args:
        main: The command; its exit status.

    Returns:
        The exit status.
    """
    terminal.accept_any_text()
    warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)  # between Lightning and torch
    warnings.showwarning = _show_warning
    threading.excepthook = _tell_of_a_thread(threading.excepthook)
    with suppress(OSError):  # the working folder was removed
        sys.path.append(os.getcwd())  # the user's own classes, as `python -m` finds them; after everything installed
    with leaving_on_signals():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            status = main()
            sys.stdout.flush()
        except BrokenPipeError:
            if not _reader_is_gone():
                raise
            status = HUNG_UP
        except OSError as error:
            if error.errno != errno.ENOSPC or error.filename is not None:
                raise
            _say(f"error: the output cannot be written: {error.strerror}")
            status = 2
        except KeyboardInterrupt:
            _say("interrupted; run the same command again")
            status = 128 + signal.SIGINT
        except Stopped as stop:  # before a verb ran
            _say("interrupted; run the same command again")
            status = 128 + stop.number
    _close_output()
    return status


def _reader_is_gone() -> bool:
    """Whether nobody reads what this process prints: the other end of a pipe is closed."""
    if not hasattr(select, "poll"):
        return True
    for stream in (1, 2):
        poll = select.poll()
        with suppress(OSError):
            poll.register(stream, 0)
            if any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
                return True
    return False


def _close_output() -> None:
    """Flush what is left; where that fails, Python would complain of it when it ends."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not _flushed(stream):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _flushed(stream: TextIO) -> bool:
    try:
        stream.flush()
    except (OSError, ValueError):
        return False
    return True


def _say(message: str) -> None:
    with suppress(OSError, ValueError):
        terminal.remark(message)


def _tell_of_a_thread(otherwise: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What is said where a thread fails: nothing of TensorBoard's, whose errors come up where it is written to."""

    def hook(what: Any) -> None:
        if type(what.thread).__name__ != "_AsyncWriterThread":
            otherwise(what)

    return hook


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning in one line, without the line of code that it comes from."""
    with suppress(OSError, ValueError):
        terminal.warn(message)
