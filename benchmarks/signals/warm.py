"""Runs that are forks of one process that has imported everything: a start takes a tenth of a second, not ten.

Nothing has been computed in that process when it forks, and it has no second thread, so what a run does is what a new
process does after its imports. The second process of a distributed run is started anew, as Lightning does it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.signals.cases import SCRIPT, environment

_LOOK = 0.01  # seconds between two looks


class WarmRun:
    """A run, with the part of `subprocess.Popen` that is needed here.

    Args:
        warm: The process that it is a fork of.
        pid: Its number.
    """

    def __init__(self, warm: Warm, pid: int) -> None:
        self._warm, self.pid = warm, pid

    def poll(self) -> int | None:
        """The exit status; None = it has not ended."""
        return self._warm.ask(self.pid)

    def wait(self, timeout: float) -> int:
        """The exit status.

        Raises:
            subprocess.TimeoutExpired: It has not ended within `timeout` seconds.
        """
        until = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(_LOOK)
        return status


class Warm:
    """The process that forks."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, str(SCRIPT), "serve"],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, folder: Path, command: list[str], pause: float = 0.0) -> WarmRun:
        """As `cases.start`."""
        number = self.ask([os.path.abspath(folder), [str(pause), *command]])
        assert number is not None
        return WarmRun(self, number)

    def ask(self, what: list[object] | int) -> int | None:
        """One line to the process, and its answer."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps(what), file=self._server.stdin, flush=True)
        answer: int | None = json.loads(self._server.stdout.readline())
        return answer
