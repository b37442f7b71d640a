"""Progress in a log file: lines of their own, ever fewer as time goes by, where a terminal would have a bar."""

from __future__ import annotations

import sys
import time
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar

FIRST = 5.0  # seconds between two lines
SHARE = 0.02  # of the time so far, where that is more: some hundred lines for a run of a day


class Interval:
    """When another line is due."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin to count."""
        self._started = self._last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for a line; the next one is due later then."""
        now = time.monotonic()
        if now - self._last < max(FIRST, SHARE * (now - self._started)):
            return False
        self._last = now
        return True


class LogProgress(ProgressBar):
    """A line for each epoch of a fit, and for what takes long within one; evaluation likewise."""

    def __init__(self) -> None:
        super().__init__()
        self._shown = True
        self._interval = Interval()
        self._began = 0.0

    def disable(self) -> None:
        """Write nothing, as on all processes but the first."""
        self._shown = False

    def enable(self) -> None:
        """Write again."""
        self._shown = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        self._interval.restart()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of an epoch."""
        self._began = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Say how far an epoch is, if it is long."""
        if self._interval.due():
            self._write(f"{self._epoch(trainer)}, step {batch_idx + 1}/{self.total_train_batches}", trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what became of an epoch."""
        seconds = time.monotonic() - self._began
        self._write(f"{self._epoch(trainer)}, {seconds:.0f} s", trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count, unless it is in the midst of a fit."""
        if trainer.state.fn != "fit":
            self._interval.restart()

    on_test_start = on_validation_start
    on_predict_start = on_validation_start

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Say how far it is, if it takes long."""
        if self._interval.due():
            doing = "testing" if trainer.testing else "predicting" if trainer.predicting else "validating"
            self._write(f"{doing}, batch {batch_idx + 1}", trainer, pl_module)

    on_test_batch_end = on_validation_batch_end
    on_predict_batch_end = on_validation_batch_end

    def _epoch(self, trainer: Trainer) -> str:
        last = trainer.max_epochs
        return f"epoch {trainer.current_epoch + 1}" + (f"/{last}" if last is not None and last > 0 else "")

    def _write(self, text: str, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._shown:
            return
        measured = self.get_metrics(trainer, pl_module)
        numbers = [f"{name} {value:.4g}" for name, value in measured.items() if isinstance(value, float)]
        print(", ".join([text, *numbers]), file=sys.stderr, flush=True)
