"""A run over a dataset as TensorBoard sees it: pictures of the first images, numbers of each block, speed, failures."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from lightning import LightningModule, Trainer

from lit_coiba.callbacks.store_callback import Explained, StoreCallback
from lit_coiba.core.printable import printable
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.transforms import Transform
from lit_coiba.files.regular import clause
from lit_coiba.pictures.about import explains_predictions
from lit_coiba.pictures.card import Unreadable, card_of, cards_picture
from lit_coiba.pictures.names import Names
from lit_coiba.store import ExplanationStore, Row
from lit_coiba.store.records import PREDICTION

FOLDER = "tensorboard"  # in the store
PANELS = 8  # images that are shown
SECONDS = 5.0  # between two looks at what other processes have written
SPEED, FAILURES, DONE = "run/images per second", "run/failures", "mean of block/probability"


class _Writer(Protocol):
    """What is used of torch's SummaryWriter."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None: ...

    def add_image(self, tag: str, img_tensor: Any, global_step: int) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class RunLog(StoreCallback):
    """Writes event files into the store during a run: ``tensorboard --logdir STORE``.

    Only the first process writes, also about the blocks of the others, which it reads from the store. Every block is
    logged once, also over restarts: what is in the event files already is left out.

    - ``explanation/0000`` and so on: image, map and overlay of the first images, with class and probability; the step
      is the rank of the target.
    - ``mean of block/NAME``: mean over the explanations of a block, of the probability and of each number that the
      method gives for an image (bits, cross-entropy at start and end); the step is the block.
    - ``run/images per second`` of all processes together and ``run/failures`` so far, by blocks done.

    Args:
        store: Store that the run writes, where the event files go too.
        dataset: The images.
        transform: Transform that made the images model input.
        total_blocks: Number of blocks of the whole run.
        panels: Number of images to show.
        names: Names of classes and labels; None = those of the dataset.
    """

    def __init__(
        self,
        store: ExplanationStore,
        dataset: ImageDataset,
        transform: Transform,
        total_blocks: int,
        panels: int = PANELS,
        names: Names | None = None,
    ) -> None:
        self.store = store
        self.dataset = dataset
        self.transform = transform
        self.total_blocks = total_blocks
        self.names = Names(dataset.classes, dataset.classes) if names is None else names
        self.always = explains_predictions(store.manifest)
        self.shown = {name: position for position, name in enumerate(dataset.ids[:panels])}
        self._writer: _Writer | None = None
        self._logged: set[int] = set()  # blocks
        self._began = self._looked = 0.0
        self._failed = False
        self._images = 0  # that this process has done in this run

    @property
    def folder(self) -> Path:
        """Where the event files are."""
        return self.store.path / FOLDER

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a file of events, on the first process."""
        if trainer.is_global_zero:
            self._began = self._looked = time.monotonic()
            with self._unless_it_fails():
                self.open()

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Every few seconds, log what is in the store by now."""
        if self._writer is None:
            return
        self._images += len(batch.ids)
        if time.monotonic() - self._looked >= SECONDS:
            with self._unless_it_fails():
                self._progress(trainer.world_size)
                self.catch_up()
            self._looked = time.monotonic()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the speed of this process's last blocks."""
        if self._writer is not None and self._images:
            with self._unless_it_fails():
                self._progress(trainer.world_size)

    def on_explain_end(self, explained: Explained) -> None:
        """Log what is left when all processes have ended."""
        with self._unless_it_fails():
            self.close()

    def open(self) -> None:
        """Begin a file of events, after those of the runs before."""
        from torch.utils.tensorboard import SummaryWriter  # takes a second

        self._logged = logged_blocks(self.folder)
        self._writer = SummaryWriter(str(self.folder))

    def catch_up(self) -> None:
        """Log every block that the store has and the event files have not."""
        assert self._writer is not None
        for block, samples, numbers in self.store.numbers(sorted(self._done() - self._logged)):
            self._log(block, samples, numbers)
            self._logged.add(block)
        self._writer.flush()

    def close(self) -> None:
        """Log what is left when all processes have ended, also of a run that was killed here, and end the file."""
        if self._writer is None:
            if self._failed or self._done() <= logged_blocks(self.folder):
                return
            self.open()
        self.catch_up()
        assert self._writer is not None
        self._writer.close()
        self._writer = None

    @contextmanager
    def _unless_it_fails(self) -> Iterator[None]:
        """Within this, what goes wrong with event files ends the log, and not the run."""
        try:
            yield
        except Exception as error:  # TensorBoard raises whatever its files and its thread do
            self._failed, self._writer = True, None
            told = clause(error) if isinstance(error, OSError) else printable(error, 100)
            warnings.warn(
                f"the TensorBoard log {printable(self.folder, 150)} cannot be written and is left out: {told}; all "
                "explanations are there",
                stacklevel=4,
            )

    def _done(self) -> set[int]:
        return set(range(self.total_blocks)).difference(self.store.missing(self.total_blocks, verify=False))

    def _progress(self, processes: int) -> None:
        assert self._writer is not None
        done = len(self._done())
        rate = self._images * processes / max(time.monotonic() - self._began, 1e-9)
        self._writer.add_scalar(SPEED, rate, done)
        self._writer.add_scalar(FAILURES, len(self.store.failures()), done)

    def _log(self, block: int, samples: list[str], numbers: dict[str, list[float]]) -> None:
        assert self._writer is not None
        ranks: dict[str, int] = {}
        for row in () if self.shown.keys().isdisjoint(samples) else self.store.block(block):
            rank = ranks[row.id] = ranks.get(row.id, -1) + 1
            if row.id in self.shown:
                self._show(row, rank)
        for name, values in numbers.items():
            if values and name not in PREDICTION:
                self._writer.add_scalar(f"mean of block/{printable(name)}", sum(values) / len(values), block)

    def _show(self, row: Row, rank: int) -> None:
        assert self._writer is not None
        position = self.shown[row.id]
        try:
            card = card_of(row, self.dataset, position, self.transform)
        except Unreadable:
            return
        self._writer.add_image(f"explanation/{position:04}", cards_picture([card], self.names, self.always), rank)


def logged_blocks(folder: Path) -> set[int]:
    """Blocks that the event files in `folder` contain."""
    if not any(folder.glob("events.out.tfevents.*")):
        return set()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 1}).Reload()
    return {event.step for event in events.Scalars(DONE)} if DONE in events.Tags()["scalars"] else set()
