"""One run of a module over the blocks of a dataset, by one process or several: what all verbs have in common."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import lightning
from lightning import Callback

from lit_coiba.backbones.digest import unchanging
from lit_coiba.callbacks import BlockBoundary, BlockProgress
from lit_coiba.callbacks.counted_progress import counted_progress
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import preserve_state
from lit_coiba.core.printable import a_kind
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.fingerprint import Fingerprint, fingerprint_of
from lit_coiba.data.module import BlockDataModule, Pass
from lit_coiba.modules.block_module import BlockModule
from lit_coiba.trainer.block_size import sized
from lit_coiba.trainer.precision import check_precision
from lit_coiba.trainer.processes import (
    exit_status,
    is_launched,
    launch,
    others_run,
    raise_loss,
    tell_others,
    together,
)
from lit_coiba.trainer.quiet import quiet
from lit_coiba.trainer.termination import PATIENCE, SOON, Termination, ends_on_signals

Result = TypeVar("Result")
Module = TypeVar("Module", bound=BlockModule)


class BlockRun(Generic[Module]):
    """A loop over blocks, and processes that decide together; `block_run` begins one.

    Args:
        trainer: Trainer whose predict loop runs.
        model: Module that the verb is about.
        datamodule: Data, whose images are listed.
        termination: Handler of SIGTERM.
        keep_loggers: Whether callbacks of the loop find the Trainer's loggers.
    """

    def __init__(
        self,
        trainer: lightning.Trainer,
        model: Module,
        datamodule: BlockDataModule,
        termination: Termination,
        keep_loggers: bool,
    ) -> None:
        self.trainer: Any = trainer  # whose type does not list all its attributes
        self.model = model
        self.datamodule = datamodule
        self.keep_loggers = keep_loggers
        self.told_size = ""  # how many images run at once, where that was chosen, for the sentence before the run
        self._termination = termination
        self._fingerprints: dict[tuple[str, int | None], Fingerprint] = {}  # by split and limit

    @property
    def images(self) -> ImageDataset:
        """The images of the current pass."""
        return self.datamodule.explained

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How the data module prepares images, as plain values."""
        return self.datamodule.transform.preprocessing.identity()

    @property
    def precision(self) -> str:
        """Lightning's name of the precision."""
        return str(self.trainer.precision)

    @property
    def ids_digest(self) -> str:
        """SHA-256 of the ids of all images of the current pass."""
        return hashlib.sha256(json.dumps(self.images.ids).encode()).hexdigest()

    def fingerprint(self) -> Fingerprint:
        """What the images of the current pass are, found once by the first process; called by all of them."""
        through = self.datamodule.current
        key = through.split, through.limit
        if key not in self._fingerprints:
            found = self.on_rank_zero(lambda: fingerprint_of(self.images, self.datamodule.fingerprint))
            self._fingerprints[key] = found
        return self._fingerprints[key]

    @property
    def shows_progress(self) -> bool:
        """Whether someone watches a progress bar."""
        return self.trainer.progress_bar_callback is not None and sys.stderr.isatty()

    def all_images(self) -> AbstractContextManager[None]:
        """Within this, the pass is over the whole split: what is known of all images helps to explain a few."""
        return self.datamodule.passing(replace(self.datamodule.current, limit=None))

    def over_blocks(
        self,
        module: BlockModule,
        blocks: Sequence[int],
        progress: BlockProgress,
        *callbacks: Callback,
        blocks_per_process: int = 1,
    ) -> None:
        """Run the predict loop over `blocks`, gradients allowed and nothing kept in memory, until all processes end.

        Args:
            module: Module whose `predict_step` does a block.
            blocks: Numbers of the blocks to do, the same on every process.
            progress: Progress bar, in place of Lightning's.
            callbacks: Callbacks beside the Trainer's.
            blocks_per_process: See `Pass`.
        """
        trainer, listen = self.trainer, self._termination
        through = replace(self.datamodule.current, blocks=blocks, blocks_per_process=blocks_per_process)
        bar = trainer.progress_bar_callback
        boundary = BlockBoundary(listen.listen, listen.begin, listen.end)  # the last: behind what writes blocks
        own = [*([progress] if bar is not None else []), *callbacks, boundary]
        with self.datamodule.passing(through), self._loop():
            trainer.callbacks = [*(callback for callback in trainer.callbacks if callback is not bar), *own]
            trainer.predict(module, datamodule=self.datamodule, return_predictions=False)
        trainer.strategy.barrier()

    def on_rank_zero(self, do: Callable[[], Result]) -> Result:
        """See `on_rank_zero`."""
        return on_rank_zero(self.trainer, do)

    def check_whole_pass(self, what: str) -> None:
        """Refuse to run over a part of the blocks only, which would never end what is made of all of them."""
        limit = self.trainer.limit_predict_batches
        if isinstance(limit, int) or limit < 1.0:
            raise InputError(
                f"{what} need a complete pass over the data: leave out limit_predict_batches and fast_dev_run"
            )

    @contextmanager
    def in_hand(self) -> Iterator[None]:
        """Within this, something would be lost; a signal ends the run when it is done."""
        self._termination.listen()
        self._termination.begin()
        try:
            yield
        finally:
            self._termination.end()

    @contextmanager
    def working(self, description: str, total: int, unit: str, already: int) -> Iterator[Callable[[], None]]:
        """Progress of work that is no pass over blocks; see `counted_progress`."""
        shown = self.trainer.progress_bar_callback is not None and self.trainer.is_global_zero
        with counted_progress(description, total, unit, shown, already) as done:
            yield done

    def to_device(self) -> None:
        """Move the model to where the Trainer runs it."""
        self.model.network.to(self.trainer.strategy.root_device)

    def list_images(self) -> None:
        """Have the data module list its images for the model, and the model check them."""
        self.trainer.strategy.connect(self.model)  # the data module asks it for the preprocessing
        self.datamodule.trainer = self.trainer
        if self.trainer.local_rank == 0:
            self.datamodule.prepare_data()
        self.trainer.strategy.barrier()
        self.datamodule.setup("predict")
        if not len(self.images):
            raise InputError("there are no images to explain: check the arguments of the data")
        self.model.check(self.images)

    @contextmanager
    def _loop(self) -> Iterator[None]:
        """Give the Trainer its callbacks, loggers and inference mode back afterwards."""
        trainer = self.trainer
        before = trainer.callbacks, trainer.predict_loop.inference_mode, trainer.loggers
        try:
            trainer.predict_loop.inference_mode = False
            if not self.keep_loggers:
                trainer.loggers = []
            yield
        finally:
            trainer.callbacks, trainer.predict_loop.inference_mode, trainer.loggers = before


@contextmanager
def block_run(
    trainer: lightning.Trainer,
    model: Module,
    datamodule: BlockDataModule,
    through: Pass,
    keep_loggers: bool = True,
    folder: Path | None = None,
) -> Iterator[BlockRun[Module]]:
    """A verb over the blocks of a dataset: the processes run and the images are listed, once.

    Args:
        trainer: Trainer whose predict loop runs.
        model: Module that the verb is about; left as it was.
        datamodule: Data; left as they were.
        through: Images that the verb is about.
        keep_loggers: Whether callbacks of the loop find the Trainer's loggers.
        folder: Folder of the results; None = there is none.

    Raises:
        InputError: There are no images, or the model cannot explain them; or a precision that changes the weights.
    """
    _check_kinds(model, datamodule)
    check_precision(str(trainer.precision))
    with module_run(trainer, model) as termination, datamodule.passing(through):
        run = BlockRun(trainer, model, datamodule, termination, keep_loggers)
        run.list_images()
        with sized(run, folder):
            yield run


@contextmanager
def module_run(trainer: lightning.Trainer, model: BlockModule) -> Iterator[Termination]:
    """What every verb begins and ends with, whether it has images or not; in between the processes run.

    Args:
        trainer: Trainer of the verb.
        model: Module that the verb is about; left as it was.
    """
    with (
        quiet(),
        ends_on_signals(
            partial(tell_others, trainer),
            exit_status(trainer),
            partial(others_run, trainer),
            partial(raise_loss, trainer),
            SOON if is_launched(trainer) else PATIENCE,
        ) as termination,
        together(trainer, termination),
        preserve_state(model),
        unchanging(model.network),
    ):
        launch(trainer)
        yield termination


def on_rank_zero(trainer: Any, do: Callable[[], Result]) -> Result:
    """Have the first process do something while the others wait; its result, or what it raised, is that of all."""
    result: Any = None
    error: Exception | None = None
    if trainer.is_global_zero:
        try:
            result = do()
        except Exception as raised:
            error = raised
    result, error = trainer.strategy.broadcast((result, error))
    if error is not None:
        vars(error)["told"] = not trainer.is_global_zero  # by the first process, and need not be again
        raise error
    return result


def _check_kinds(model: Any, datamodule: Any) -> None:
    """Refuse arguments that were swapped, or are something else.

    Raises:
        InputError: They are.
    """
    if isinstance(model, BlockModule) and isinstance(datamodule, BlockDataModule):
        return
    given = f"{a_kind(model)} and {a_kind(datamodule)}"
    raise InputError(
        f"model and datamodule are {given}: give first the model, such as Explainer(backbone, method), and then the"
        " data, such as ImageFolder(root)"
    )
