"""What `Trainer.fit` begins and ends with: folders of its own, and a checkpoint to go on from when it is stopped."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import lightning
from lightning import Callback, LightningModule
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector

from lit_coiba.callbacks.batch_boundary import BatchBoundary
from lit_coiba.callbacks.steps import FiniteWeights, RepeatableSteps
from lit_coiba.core.ending import SIGNALS, Stopped, leave
from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.files.held import held
from lit_coiba.files.owned import check_apart
from lit_coiba.files.regular import clause
from lit_coiba.trainer.places import check_place, image_folders
from lit_coiba.trainer.processes import (
    Launcher,
    exit_status,
    is_launched,
    others_run,
    tell_parent,
    together,
)
from lit_coiba.trainer.termination import PATIENCE, SOON, Termination, ends_on_signals

_GRACE = 60.0  # seconds that a process of another launcher gets, while the first one saves
_VERSIONS = 10_000  # folders of a logger that are tried
_COPIES_ONE_STATE = (SingleDeviceStrategy, DDPStrategy)  # every process has all of it


@contextmanager
def fit_run(trainer: lightning.Trainer, data: Any) -> Iterator[None]:
    """Within this, a fit writes to folders that no other run has, and leaves a checkpoint when a signal stops it.

    Args:
        trainer: The Trainer.
        data: The data module, if there is one.

    Raises:
        InputError: A folder for checkpoints cannot be written, or another fit has it.
        Stopped: A signal has come; the checkpoint is written.
    """
    images = image_folders(data) if data is not None else []
    asked, patience = partial(_asked, trainer), SOON if is_launched(trainer) else PATIENCE
    others = partial(others_run, trainer)
    with (
        ExitStack() as folders,
        ends_on_signals(asked, exit_status(trainer), others, patience=patience, also=(signal.SIGINT,)) as termination,
        together(trainer, termination, waits_in_hand=True, grace=0.0),
    ):
        if trainer.is_global_zero:
            _claim_versions(trainer, folders)

        def over() -> None:  # all is done, and whoever asked for an end has one
            termination.coming = None
            termination.end()

        boundary = BatchBoundary(termination.begin, partial(_between, trainer, termination), over)
        before = trainer.callbacks  # type: ignore[attr-defined]
        trainer.callbacks = [_Places(folders, images), FiniteWeights(), RepeatableSteps(), boundary, *before]  # type: ignore[attr-defined]
        try:
            yield
        finally:
            trainer.callbacks = before  # type: ignore[attr-defined]


class _Places(Callback):
    """Checks, before the first epoch, that checkpoints can be written, and keeps other fits from their folders."""

    def __init__(self, folders: ExitStack, images: list[Path]) -> None:
        self._folders = folders
        self._images = images

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: LightningModule) -> None:
        """Folders are known, and nothing is trained."""
        if not trainer.is_global_zero:
            return
        found = {str(path) for one in trainer.checkpoint_callbacks if (path := getattr(one, "dirpath", None))}
        for path in sorted(path for path in found if "://" not in path):
            check_apart(Path(path), "checkpoints:", self._images)
            try:
                self._folders.enter_context(held(Path(path), "trainer.default_root_dir", "fit"))
            except OSError as error:
                raise InputError(
                    f"checkpoints cannot be written to {printable(path, 200)} ({clause(error)}): fix the permissions, "
                    "or choose another trainer.default_root_dir"
                ) from error


def _claim_versions(trainer: lightning.Trainer, folders: ExitStack) -> None:
    """Give each logger that counts its runs a folder that no other run gets, also of two that start at once."""
    for logger in trainer.loggers:
        if not isinstance(logger, TensorBoardLogger | CSVLogger) or logger._version is not None:
            continue
        root = Path(logger.root_dir)
        if "://" in str(logger.root_dir):
            continue
        check_place(root, "trainer.logger")
        try:
            root.mkdir(parents=True, exist_ok=True)
            for version in range(int(logger.version), int(logger.version) + _VERSIONS):
                with suppress(FileExistsError):
                    (root / f"version_{version}").mkdir()
                    logger._version = version
                    folders.callback(_remove_if_empty, root / f"version_{version}")
                    break
        except OSError as error:
            raise InputError(
                f"trainer.logger: {printable(root, 200)} cannot be written ({clause(error)}): fix the permissions, or "
                "choose another trainer.default_root_dir"
            ) from error


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _asked(trainer: lightning.Trainer, number: int) -> None:
    """The first process saves; the others go on until it has."""
    if trainer.is_global_zero or number == signal.SIGINT:  # which a terminal sends to all
        return
    if is_launched(trainer):
        tell_parent(number)
        return
    late = threading.Timer(_GRACE, os._exit, (128 + number,))
    late.daemon = True
    late.start()


def _between(trainer: Any, termination: Termination, loops: dict[str, Any] | None) -> None:
    """Between two batches: if an end was asked for, save and leave, without asking the other processes."""
    number, whole = termination.coming, trainer.fit_loop.epoch_loop.batch_idx + 1
    if number is None or not trainer.is_global_zero or (loops is None and whole % trainer.accumulate_grad_batches):
        return
    saved = _save(trainer, loops)
    if isinstance(trainer.strategy.launcher, Launcher):
        trainer.strategy.launcher.end()
    raise Stopped(number, _advice(trainer, saved))


def _save(trainer: Any, loops: dict[str, Any] | None) -> str:
    """Write a checkpoint beside the others; its path, empty where the fit keeps none."""
    folder = getattr(trainer.checkpoint_callback, "dirpath", None)
    if folder is None or not isinstance(trainer.strategy, _COPIES_ONE_STATE):
        return ""
    checkpoint = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
    if loops is not None:
        checkpoint["loops"] = loops
    name = os.path.join(str(folder), f"stopped-epoch={trainer.current_epoch}-step={trainer.global_step}")
    path, version = f"{name}.ckpt", 0
    while os.path.lexists(path):
        path, version = f"{name}-v{version + 1}.ckpt", version + 1
    trainer.strategy.checkpoint_io.save_checkpoint(checkpoint, path)
    return path


def _advice(trainer: Any, saved: str) -> str:
    """How to go on."""
    where = f"at epoch {trainer.current_epoch}, step {trainer.global_step}"
    known = (saved, getattr(trainer.checkpoint_callback, "best_model_path", ""))
    path = next((path for path in known if path and ("://" in path or os.path.isfile(path))), None)
    if path is None:
        return f"{where}, without a checkpoint: the same command begins anew"
    shown = path if "://" in path else os.path.relpath(path)
    return f"{where}; to continue, add --ckpt_path {shown} to the same command"


class _Signals(_SignalConnector):
    """Lightning's handlers of signals, but for those that are handled here."""

    def register_signal_handlers(self) -> None:
        """Register Lightning's, and give what is ours back: its own waits in the handler for other processes."""
        before: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}
        super().register_signal_handlers()
        environment = self.trainer._accelerator_connector.cluster_environment
        if isinstance(environment, SLURMEnvironment) and environment.auto_requeue:
            return  # which saves and requeues by a signal of its own
        for number, handler in before.items():
            if handler is leave or isinstance(getattr(handler, "__self__", None), Termination):
                signal.signal(number, handler)


def own_signals(trainer: lightning.Trainer) -> None:
    """Put our registration of signals in the place of Lightning's."""
    made: Callable[[Any], Any] = _Signals
    trainer._signal_connector = made(trainer)
