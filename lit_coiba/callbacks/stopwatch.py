"""How fast a run over a dataset is."""

from __future__ import annotations

import time
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from lit_coiba.core.batch import Batch


class Stopwatch(Callback):
    """Counts images and the seconds that explaining them took: loading, statistics and writing are left out."""

    images: int
    seconds: float

    def __init__(self) -> None:
        self._started = 0.0
        self.reset()

    def reset(self) -> None:
        """Restart the count."""
        self.images, self.seconds = 0, 0.0

    @property
    def rate(self) -> float | None:
        """Images per second; None before the first batch."""
        return self.images / self.seconds if self.images else None

    def on_predict_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Start the clock."""
        self._started = _now()

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop it; a pass that returns nothing (statistics) does not count."""
        if outputs is not None:
            self.seconds += _now() - self._started
            self.images += len(batch.ids)


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
