"""A progress bar that says what a run over a dataset is worth: images a second, time left, failures."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from tqdm import tqdm

from lit_coiba.callbacks.log_progress import Interval
from lit_coiba.core.batch import Batch
from lit_coiba.core.batched_evaluator import on_progress
from lit_coiba.core.printable import printable, sentence

FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} blocks, {remaining} left{postfix}"
ON_TERMINAL = 0.3  # seconds between two refreshes
WORTH_SAYING = 30.0  # seconds that a run takes from which on its length is told


class BlockProgress(TQDMProgressBar):
    """One line on stderr: blocks done and to do, time left, images/s, number of failures.

    In a log file these are lines of their own, ever fewer as time goes by. Where a `plan` is given it is told before
    the first block, and after it how long all will take.

    Within a block the line reports how many of a method's perturbed samples have run: a block may take minutes.

    Of several processes the first one shows its own blocks and failures; the rate is that of all of them together, as
    blocks are dealt evenly.

    Args:
        description: What the bar is about.
        plan: What there is to do and what it costs; empty = nothing to tell.
        passes: Number of passes like this one that are still to come, this one included.
    """

    def __init__(self, description: str = "Explaining", plan: str = "", passes: int = 1) -> None:
        super().__init__()
        self.description = printable(description)
        self.plan, self.passes = plan, passes
        self.told = False  # whether there was a first block, before which the plan was told
        self._lines = False  # whether stderr is a file
        self._interval = Interval()
        self._copies = 0  # evaluated in this run
        self._started = self._shown = 0.0
        self._postfix = ""
        self._listening = ExitStack()
        self._images = self._failures = 0

    def init_predict_tqdm(self) -> Tqdm:
        """The bar, with all blocks still to do."""
        self._lines = not sys.stderr.isatty() and not self.is_disabled
        return Tqdm(
            desc=self.description,
            total=self._total,
            disable=self.is_disabled or self._lines,
            leave=True,
            dynamic_ncols=True,
            file=sys.stderr,
            mininterval=ON_TERMINAL,
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
            self._interval.restart()
            self._images, self._failures, self._copies, self._postfix = 0, 0, 0, ""
            self.predict_progress_bar.reset()
            self.told = True
            if self.plan:
                self._tell(self.plan)

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
        done, now = batch_idx + 1, time.monotonic()
        if self.plan and done == 1 and self._total * self.passes > 1:
            self._estimate((now - self._started) * self._total * self.passes)
        if self._lines and (done == self._total or self._interval.due()):
            left = tqdm.format_interval((now - self._started) / done * (self._total - done))
            self._line(f"{done / self._total:4.0%}, {done}/{self._total} blocks, {left} left, {self._postfix}")
        elif not self._lines:
            self._shown = now

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The last block is done."""
        self._listening.close()
        super().on_predict_end(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End the line, so that the message has its own."""
        self._listening.close()
        if self._predict_progress_bar is not None:
            self._predict_progress_bar.close()

    @property
    def _total(self) -> int:
        """Number of blocks of this process."""
        return int(sum(self.trainer.num_predict_batches))

    def _line(self, text: str) -> None:
        print(f"{self.description}: {text}", file=sys.stderr, flush=True)

    def _tell(self, text: str) -> None:
        """A sentence above the bar, on the first process."""
        if not self.is_disabled:
            Tqdm.write(f"lit-coiba: {sentence(text)}", file=sys.stderr)

    def _estimate(self, seconds: float) -> None:
        """How long all blocks will take, as far as the first one says."""
        if seconds < WORTH_SAYING:
            return
        copies = self._copies / max(self._images, 1)
        each = f", {copies:,.0f} perturbed copies an image" if copies >= 1 else ""
        self._tell(f"about {duration(seconds)} in all, measured on the first block ({self._postfix}{each})")

    def _report_copies(self, done: int, copies: int) -> None:
        """Some copies more of a block; what is done fast is not shown."""
        self._copies += copies if done == copies else 0
        bar, now = self.predict_progress_bar, time.monotonic()
        if self._lines and self._interval.due():
            self._line(f"{done:,} of {copies:,} copies in this block")
        if bar.disable or now - self._shown < bar.mininterval:
            return
        self._shown = now
        so_far = f"{self._postfix}, " if self._postfix else ""
        bar.set_postfix_str(f"{so_far}{done:,} of {copies:,} copies in this block", refresh=True)


def duration(seconds: float) -> str:
    """A time in the unit that one thinks in.

    Example:
        >>> [duration(seconds) for seconds in (40, 600, 9000, 900000)]
        ['40 s', '10 min', '2.5 h', '10.4 days']
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
