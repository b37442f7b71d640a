"""SIGTERM ends a run over a dataset after the block in hand."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STATUS = 128 + signal.SIGTERM  # 143, what shells give


class Termination:
    """Leaves by `SystemExit` when the process was asked to terminate: at once, or after the block in hand.

    Args:
        ours: Whether this may handle the signal.
        asked: Function to call once, when the signal comes.
        status: Exit status of the process.
    """

    def __init__(self, ours: bool, asked: Callable[[], None], status: int = STATUS) -> None:
        self._ours = ours
        self._asked = asked
        self._status = status
        self._coming = self._in_hand = False

    def listen(self) -> None:
        """Take the signal, also back from Lightning.

        Lightning's own handler goes on to the end of its predict loop, and has all processes meet within the handler:
        where one of them alone was asked, they wait forever.
        """
        if self._ours:
            signal.signal(signal.SIGTERM, self._take)

    def begin(self) -> None:
        """From here to `end` there is something in hand that would be lost."""
        self._in_hand = True

    def end(self) -> None:
        """It is done; leave if that was asked for meanwhile."""
        self._in_hand = False
        self._leave()

    def _take(self, number: int, frame: FrameType | None) -> None:
        if not self._coming:
            self._coming = True
            self._asked()
        self._leave()

    def _leave(self) -> None:
        if self._coming and not self._in_hand:
            raise SystemExit(self._status)


@contextmanager
def ends_on_sigterm(asked: Callable[[], None] = lambda: None, status: int = STATUS) -> Iterator[Termination]:
    """Within this block, SIGTERM ends the process between two blocks of a run. The user's own handler stays.

    Args:
        asked: Function to call once, when the signal comes.
        status: Exit status of the process.
    """
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    termination = Termination(ours, asked, status)
    termination.listen()
    try:
        yield termination
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
