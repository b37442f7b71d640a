"""The processes of a run that Lightning starts by itself, one for each device: none waits for one that is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import lightning
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.distributed import _set_num_threads_if_needed
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

from lit_coiba.core.ending import STATUSES, ProcessLost, Stopped
from lit_coiba.core.errors import InputError
from lit_coiba.trainer.readers import kill_all, readers_of
from lit_coiba.trainer.termination import Termination

LOOK = 0.2  # seconds between two looks at other processes
NOTICE = 3.0  # seconds in which a process that is gone shows
HANGING = 20.0  # seconds in which the first process notices by itself that another is gone
_MOST = 64  # devices that any machine may have
GRACE = 30.0  # seconds that others get to finish what they have in hand


class Launcher(_SubprocessScriptLauncher):
    """Lightning's launcher, which starts this command once more for each device but the first.

    Where one of these processes dies, Lightning kills all of them without a word; here the first one says what
    happened, and ends by itself.
    """

    termination: Termination | None = None  # of the run that is going on
    ending = False  # whether this process has had the others end
    waits_in_hand = False  # whether processes wait for one another within what they have in hand

    def launch(self, function: Callable, *args: Any, trainer: Any = None, **kwargs: Any) -> Any:
        """Start the other processes, watch them, and call a function.

        Args:
            function: Function to call, with the other arguments.
            *args: Its arguments.
            trainer: See Lightning.
            **kwargs: Its arguments.
        """
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        if not self.cluster_environment.creates_processes_externally:
            self._call_children_scripts()
            threading.Thread(target=self._watch, daemon=True, name="lit-coiba processes").start()
        _set_num_threads_if_needed(num_processes=self.num_processes)
        return function(*args, **kwargs)

    @property
    def running(self) -> bool:
        """Whether a process that this one has started has not ended."""
        return any(process.poll() is None for process in self.procs)

    def lost(self) -> ProcessLost | None:
        """What has become of a process that should not have ended; None if there is none."""
        if self.ending:
            return None
        for rank, process in enumerate(self.procs, 1):
            code = process.poll()
            if code:
                return _loss(rank, len(self.procs) + 1, code)
        return None

    def end(self, grace: float = 0.0) -> None:
        """Have all other processes end: those that have not after `grace` seconds are killed."""
        self.ending = True
        until = time.monotonic() + grace
        while self.running and time.monotonic() < until:
            time.sleep(LOOK)
        readers = [pid for process in self.procs if process.poll() is None for pid in readers_of(process.pid)]
        self.kill(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        kill_all(readers)
        for process in self.procs:
            _reap(process)

    def _watch(self) -> None:
        """In a thread: end this process where it waits for one that is gone. As a rule it notices by itself."""
        while self.running and self.lost() is None:
            time.sleep(LOOK)
        found, waited = self.lost(), 0.0
        while found is not None and waited < HANGING:
            busy = self.termination is not None and self.termination.in_hand and not self.waits_in_hand
            waited = 0.0 if busy else waited + LOOK
            time.sleep(LOOK)
        if found is not None and not self._asked():
            print(f"lit-coiba: error: {found}", file=sys.stderr)
            self.end()
            kill_all(readers_of(os.getpid()))
            os._exit(found.status)

    def _asked(self) -> bool:
        return self.termination is not None and self.termination.coming is not None


def check_devices(devices: Any) -> None:
    """Refuse a number of processes that would take the machine down.

    Raises:
        InputError: There are too many.
    """
    count = int(devices) if isinstance(devices, int | str) and str(devices).strip().isdigit() else 0
    most = max(_MOST, 4 * (os.cpu_count() or 1))
    if count > most:
        raise InputError(f"trainer.devices is {count}: a process is started for each, so give at most {most}")


def own_launcher(trainer: lightning.Trainer) -> None:
    """Put our launcher in the place of Lightning's."""
    strategy: Any = trainer.strategy
    found = strategy.launcher
    if type(found) is _SubprocessScriptLauncher:
        strategy._launcher = Launcher(found.cluster_environment, found.num_processes, found.num_nodes)


def launch(trainer: lightning.Trainer) -> None:
    """Begin a distributed run now, not in the first `predict`: what is decided on files must be decided together.

    Processes that are spawned or forked live within `predict` only; between two of them there is nobody to wait for.
    """
    if isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher):
        trainer.strategy.launcher.launch(trainer.strategy.setup_environment)


def is_launched(trainer: lightning.Trainer) -> bool:
    """Whether Lightning started this process for another one, its parent."""
    launched = isinstance(getattr(trainer.strategy, "cluster_environment", None), LightningEnvironment)
    return launched and trainer.local_rank > 0


def tell_others(trainer: lightning.Trainer, number: int) -> None:
    """Send a signal on to the other processes of this machine: those that this one has started, or its parent."""
    if is_launched(trainer):
        tell_parent(number)
    elif isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher):
        trainer.strategy.launcher.kill(number)


def tell_parent(number: int) -> None:
    """Send a signal on to the process that started this one."""
    if os.getppid() == _PARENT:
        os.kill(_PARENT, number)


def others_run(trainer: lightning.Trainer) -> bool:
    """Whether processes that this one has started have not ended."""
    launcher = trainer.strategy.launcher
    return isinstance(launcher, Launcher) and launcher.running


def raise_loss(trainer: lightning.Trainer) -> None:
    """Raise `ProcessLost` if a process that this one has started is gone."""
    launcher = trainer.strategy.launcher
    if isinstance(launcher, Launcher) and (found := launcher.lost()) is not None:
        raise found


def exit_status(trainer: lightning.Trainer) -> int | None:
    """What this process ends with when it is asked to: what the signal says, but 0 where Lightning started it.

    Then its parent, which was asked too, speaks for both.
    """
    return 0 if is_launched(trainer) else None


@contextmanager
def together(
    trainer: lightning.Trainer,
    termination: Termination | None = None,
    waits_in_hand: bool = False,
    grace: float = GRACE,
) -> Iterator[None]:
    """Within this, no process of a run waits for one that is gone, and none is left behind.

    Args:
        trainer: The Trainer.
        termination: Handler of signals, if there is one.
        waits_in_hand: Whether processes wait for one another within what they have in hand: a batch of a fit.
        grace: Seconds that other processes get, when this one was asked to end.

    Raises:
        ProcessLost: Another process has ended, and so what was to be done together failed.
        Stopped: The process that started this one is gone.
    """
    launcher: Any = trainer.strategy.launcher
    ours = isinstance(launcher, Launcher)
    if ours:
        launcher.termination = termination or launcher.termination
        launcher.waits_in_hand = waits_in_hand
    if is_launched(trainer):
        _follow_parent()
    try:
        yield
    except Stopped:
        if ours:
            launcher.end(grace)
        raise
    except RuntimeError as error:
        found = _noticed(launcher) if ours and not isinstance(error, ProcessLost) else None
        if ours:
            launcher.end()
        if is_launched(trainer) and _orphaned():
            raise Stopped(signal.SIGTERM) from error
        if termination is not None and termination.coming is not None:
            raise Stopped(termination.coming, status=exit_status(trainer)) from error
        if found is not None and found.status in STATUSES:
            raise Stopped(STATUSES[found.status]) from error
        if found is not None:
            raise found from error
        raise
    except BaseException:
        if ours:
            launcher.end(LOOK)
        raise


def _noticed(launcher: Launcher) -> ProcessLost | None:
    """What was lost, if it shows soon: that a connection broke is known before the process has ended."""
    until = time.monotonic() + NOTICE
    while (found := launcher.lost()) is None and launcher.running and time.monotonic() < until:
        time.sleep(LOOK / 4)
    return found


def _loss(rank: int, processes: int, code: int) -> ProcessLost:
    """What is said of a process that ended with this code."""
    which = f"process {rank + 1} of {processes}"
    if code > 0:
        return ProcessLost(f"{which} has ended with status {code}; its message is above", code)
    name = signal.Signals(-code).name if -code in {number.value for number in signal.Signals} else f"signal {-code}"
    return ProcessLost(
        f"{which} was killed ({name}), as happens where memory is short: set a smaller data.batch_size or fewer "
        "trainer.devices, and run the same command again",
        2,
    )


def _reap(process: subprocess.Popen) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(NOTICE)


_PARENT = os.getppid()
_following = threading.Event()


def _orphaned() -> bool:
    """Whether the process that started this one is gone, which shows soon after its connections broke."""
    until = time.monotonic() + NOTICE
    while os.getppid() == _PARENT and time.monotonic() < until:
        time.sleep(LOOK / 4)
    return os.getppid() != _PARENT


def _follow_parent() -> None:
    """End this process, after what it has in hand, when the one that started it is gone."""
    if _following.is_set():
        return
    _following.set()

    def follow() -> None:
        while os.getppid() == _PARENT:
            time.sleep(5 * LOOK)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, daemon=True, name="lit-coiba parent").start()
