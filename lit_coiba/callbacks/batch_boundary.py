"""Says when a batch of a fit is in hand, so that a fit is stopped between two, with a checkpoint to go on from."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from lightning import Callback, LightningModule, Trainer


class BatchBoundary(Callback):
    """Calls functions around the batches of a fit.

    Args:
        begin: Training is about to begin: from here there is something that would be lost.
        between: Between two batches, also of a validation, with the state of the loops from which a fit can go on;
            None = as they are.
        end: Training is over, or failed.
    """

    def __init__(
        self,
        begin: Callable[[], None],
        between: Callable[[dict[str, Any] | None], None],
        end: Callable[[], None],
    ) -> None:
        self._begin, self._between, self._end = begin, between, end
        self._before_validation: dict[str, Any] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Training begins."""
        self._begin()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """The batch before is done."""
        self._between(None)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What a fit goes on from that is stopped in its validation: the validation is left out then."""
        self._before_validation = deepcopy(loops(trainer))

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Between two batches of a validation; not of the one before training, when there is nothing to lose."""
        if not trainer.sanity_checking:
            self._between(self._before_validation)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Training is over."""
        self._end()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """It failed."""
        self._end()


def loops(trainer: Any) -> dict[str, Any]:
    """The state of a Trainer's loops, as a checkpoint has it."""
    return trainer._checkpoint_connector._get_loops_state_dict()
