"""A progress bar that says what a run over a dataset is worth: images a second, time left, failures."""

from __future__ import annotations

import time
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

from lit_coiba.contracts import Batch


class BlockProgress(TQDMProgressBar):
    """Progress over blocks: images/s since the first one, time left, number of failures.

    Args:
        description: What the bar is about.
    """

    def __init__(self, description: str = "Explaining") -> None:
        super().__init__()
        self.description = description
        self._started = 0.0
        self._images = self._failures = 0

    @property
    def predict_description(self) -> str:
        """Text in front of the bar."""
        return self.description

    def init_predict_tqdm(self) -> Tqdm:
        """A bar with an estimate of the time left."""
        bar = super().init_predict_tqdm()
        bar.bar_format = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} blocks, {remaining} left{postfix}"
        return bar

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        super().on_predict_start(trainer, pl_module)
        self._started = time.monotonic()
        self._images = self._failures = 0

    def on_predict_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Keep the description free of data loader numbers: there is one."""
        super().on_predict_batch_start(trainer, pl_module, batch, batch_idx, dataloader_idx)
        self.predict_progress_bar.set_description(self.description)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Show the rate so far."""
        self._images += len(batch.ids)
        self._failures += len(outputs.failures if outputs is not None else batch.failures)
        rate = self._images / max(time.monotonic() - self._started, 1e-9)
        failed = f", {self._failures} failed" if self._failures else ""
        self.predict_progress_bar.set_postfix_str(f"{rate:.2f} images/s{failed}", refresh=False)
        super().on_predict_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)
