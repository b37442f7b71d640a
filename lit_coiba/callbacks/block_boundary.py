"""Says when a block is in hand, so that a run is stopped between two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lightning import Callback, LightningModule, Trainer


class BlockBoundary(Callback):
    """Calls functions where the loop over blocks starts, and before and after each of them.

    Args:
        start: Before the first block, when Lightning has set its signal handlers.
        begin: A block is about to be computed.
        end: It is on disk, if this stands behind the writer among the callbacks; or it failed.
    """

    def __init__(self, start: Callable[[], None], begin: Callable[[], None], end: Callable[[], None]) -> None:
        self._start, self._begin, self._end = start, begin, end

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The loop starts."""
        self._start()

    def on_predict_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """A block comes."""
        self._begin()

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """It is done."""
        self._end()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """It is lost."""
        self._end()
