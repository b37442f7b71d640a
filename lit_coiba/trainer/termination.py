"""A signal ends a run over a dataset after the block in hand, and a fit after the batch in hand."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType

from lit_coiba.core.ending import SIGNALS, Stopped, is_default, is_first

_LOOK = 0.1  # seconds between two looks at what another thread does
SOON, PATIENCE = 1.0, 10.0  # seconds in which the main thread reacts, unless it waits for other processes


def nothing(*_: int) -> None:
    """Nobody has to be told."""


def nobody() -> bool:
    """There are no other processes."""
    return False


class Termination:
    """Leaves by `Stopped` when the process was asked to end: at once, or after the block in hand.

    Python handles a signal in the main thread, which may be waiting for other processes: a second thread hears it too,
    and tells them.

    Args:
        numbers: Signals that this may handle.
        asked: Function to call once with the signal, when the first of them comes.
        status: Exit status of the process; None = 128 and the number of the signal.
        others: Whether other processes are there that were told and have not ended.
        lost: Called when something was in hand and is done; raises if another process has been lost.
        patience: Seconds after which the process ends although its main thread waits for something.
    """

    def __init__(
        self,
        numbers: tuple[int, ...] = (),
        asked: Callable[[int], None] = nothing,
        status: int | None = None,
        others: Callable[[], bool] = nobody,
        lost: Callable[[], None] = nothing,
        patience: float = PATIENCE,
    ) -> None:
        self._numbers = numbers
        self._asked, self._status, self._others, self._lost = asked, status, others, lost
        self._patience = patience
        self._telling = threading.RLock()  # a second signal may come while the handler of the first has it
        self._told = self._in_hand = self._left = False
        self.coming: int | None = None  # the signal that has come

    def listen(self) -> None:
        """Take the signals, also back from Lightning.

        Lightning's own handler goes on to the end of its predict loop, and has all processes meet within the handler:
        where one of them alone was asked, they wait forever.
        """
        for number in self._numbers:
            signal.signal(number, self._take)

    @property
    def in_hand(self) -> bool:
        """Whether there is something that would be lost."""
        return self._in_hand

    def begin(self) -> None:
        """From here to `end` there is something in hand that would be lost."""
        self._in_hand = True

    def end(self) -> None:
        """It is done; leave if that was asked for meanwhile."""
        self._in_hand = False
        self._leave()
        self._lost()

    def _take(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.coming is not None:  # Ctrl-C twice: at once
            raise KeyboardInterrupt
        self.coming = self.coming or number
        self._tell(number)
        self._leave()

    def _leave(self) -> None:
        if self.coming is not None and not self._in_hand and not self._left:
            self._left = True
            raise Stopped(self.coming, status=self._status)

    def _tell(self, number: int) -> None:
        with self._telling:
            first, self._told = not self._told, True
        if first:
            self._asked(number)

    def _heard(self, number: int) -> None:
        """In the second thread: tell others, and end the process if its main thread waits for ever."""
        self._tell(number)
        waited = 0.0
        while self.coming is None and waited < self._patience:
            waited = 0.0 if self._in_hand or self._others() else waited + _LOOK
            time.sleep(_LOOK)
        if self.coming is None:
            if is_first():
                print("lit-coiba: interrupted; the same command continues where it stopped", file=sys.stderr)
            os._exit(128 + number if self._status is None else self._status)


@contextmanager
def ends_on_signals(
    asked: Callable[[int], None] = nothing,
    status: int | None = None,
    others: Callable[[], bool] = nobody,
    lost: Callable[[], None] = nothing,
    patience: float = PATIENCE,
    also: tuple[int, ...] = (),
) -> Iterator[Termination]:
    """Within this block, SIGTERM and SIGHUP end the process between two blocks of a run. The user's own handlers stay.

    Args:
        asked: See `Termination`.
        status: See `Termination`.
        others: See `Termination`.
        lost: See `Termination`.
        patience: See `Termination`.
        also: More signals, whose handlers are replaced if they are Python's own.
    """
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in SIGNALS if main and is_default(number)}
    before |= {n: h for n in also if main and (h := signal.getsignal(n)) is signal.default_int_handler}
    termination = Termination(tuple(before), asked, status, others, lost, patience)
    with _second_thread(termination) if before else nullcontext():
        termination.listen()
        try:
            yield termination
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _second_thread(termination: Termination) -> Iterator[None]:
    """A thread that hears signals also while the main one waits in a call that is not Python's."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    previous = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    if previous != -1:  # somebody else listens, as notebooks do
        signal.set_wakeup_fd(previous)

    def listen() -> None:
        with ours, suppress(OSError):
            while heard := ours.recv(1):  # to the end: Python complains of a signal that it cannot pass on
                if heard[0] in termination._numbers:
                    termination._heard(heard[0])

    thread = threading.Thread(target=listen, daemon=True, name="lit-coiba signals")
    thread.start()
    try:
        yield
    finally:
        if previous == -1:
            signal.set_wakeup_fd(-1)
        theirs.close()
        thread.join(SOON)
