"""A progress bar that says what a run over a dataset is worth: images a second, time left, failures."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

from lit_coiba.core.batch import Batch
from lit_coiba.core.batched_evaluator import on_progress

FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} blocks, {remaining} left{postfix}"
ON_TERMINAL, IN_FILE = 0.3, 5.0  # seconds between two refreshes: a log file keeps them all


class BlockProgress(TQDMProgressBar):
    """One line on stderr: blocks done and to do, time left, images/s, number of failures.

    Within a block the line reports how many of a method's perturbed samples have run: a block may take minutes.

    Of several processes the first one shows its own blocks and failures; the rate is that of all of them together, as
    blocks are dealt evenly.

    Args:
        description: What the bar is about.
    """

    def __init__(self, description: str = "Explaining") -> None:
        super().__init__()
        self.description = description
        self._started = self._shown = 0.0
        self._postfix = ""
        self._listening = ExitStack()
        self._images = self._failures = 0

    def init_predict_tqdm(self) -> Tqdm:
        """The bar, with all blocks still to do."""
        return Tqdm(
            desc=self.description,
            total=sum(self.trainer.num_predict_batches),
            disable=self.is_disabled,
            leave=True,
            dynamic_ncols=True,
            file=sys.stderr,
            mininterval=ON_TERMINAL if sys.stderr.isatty() else IN_FILE,
            miniters=1,
            smoothing=0,
            bar_format=FORMAT,
        )

    def on_predict_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Begin to count at the first block, when the processes that read files have started."""
        if batch_idx == 0:
            self._listening.enter_context(on_progress(self._report_copies))
            self._started = self._shown = time.monotonic()
            self._images, self._failures, self._postfix = 0, 0, ""
            self.predict_progress_bar.reset()

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """One block more, and the rate so far."""
        self._images += len(batch.ids)
        self._failures += len(batch.failures if outputs is None else outputs.failures)
        rate = self._images * trainer.world_size / max(time.monotonic() - self._started, 1e-9)
        failed = f", {self._failures} failed" if self._failures else ""
        self._postfix = f"{rate:.2f} images/s{failed}"
        self.predict_progress_bar.set_postfix_str(self._postfix, refresh=False)
        self.predict_progress_bar.update()
        self._shown = time.monotonic()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The last block is done."""
        self._listening.close()
        super().on_predict_end(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End the line, so that the message has its own."""
        self._listening.close()
        if self._predict_progress_bar is not None:
            self._predict_progress_bar.close()

    def _report_copies(self, done: int, copies: int) -> None:
        """Some copies more of a block; what is done fast is not shown."""
        bar, now = self.predict_progress_bar, time.monotonic()
        if bar.disable or now - self._shown < bar.mininterval:
            return
        self._shown = now
        so_far = f"{self._postfix}, " if self._postfix else ""
        bar.set_postfix_str(f"{so_far}{done:,} of {copies:,} copies in this block", refresh=True)
