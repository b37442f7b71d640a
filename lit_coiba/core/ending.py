"""How a process ends that is asked to, or that has lost another one. Imports nothing heavy: it is there from the start.

The exit status is what shells give: 128 and the number of the signal, so 143, 130 and 129 for SIGTERM, Ctrl-C and
SIGHUP.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# What asks a process to end; a process that was started with nohup ignores the second, and goes on to.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
STATUSES = {128 + number: number for number in (*SIGNALS, signal.SIGINT)}


class Stopped(SystemExit):
    """The process leaves because a signal asked it to.

    Args:
        number: The signal.
        advice: How to go on, a clause; None = as the verb does in general.
        status: Exit status, if it is not 128 and the number.
    """

    def __init__(self, number: int, advice: str | None = None, status: int | None = None) -> None:
        super().__init__(128 + number if status is None else status)
        self.number = number
        self.advice = advice


class ProcessLost(RuntimeError):
    """Another process of the run has ended that should not have.

    Args:
        message: Which, how, and what to do.
        status: Exit status of this process.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def leave(number: int, frame: FrameType | None) -> None:
    """Handler of a signal: leave at once, and clear up on the way. What comes meanwhile is not heard any more."""
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise Stopped(number)


def is_default(number: int) -> bool:
    """Whether nobody but us handles a signal, and it is not ignored."""
    return signal.getsignal(number) in (signal.SIG_DFL, leave)


@contextmanager
def leaving_on_signals() -> Iterator[None]:
    """Within this, signals that would kill the process raise `Stopped`; handlers of the user's own stay."""
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in SIGNALS if main and is_default(number)}
    for number in before:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def is_first() -> bool:
    """Whether this process speaks for all of a run, as far as the environment says."""
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "RANK", "SLURM_PROCID"))
