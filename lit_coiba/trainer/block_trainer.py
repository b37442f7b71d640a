"""Lightning's Trainer, run over the blocks of a dataset by one process or several."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from lightning import Callback, LightningModule
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

from lit_coiba.callbacks import BlockBoundary, BlockProgress
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import preserve_state
from lit_coiba.data.module import BlockDataModule
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.prototype_search import PrototypeSearch
from lit_coiba.modules.scorer import Scorer
from lit_coiba.trainer.fit_trainer import FitTrainer
from lit_coiba.trainer.identity import check_precision
from lit_coiba.trainer.precision import automatic_precision
from lit_coiba.trainer.quiet import quiet
from lit_coiba.trainer.termination import STATUS, Termination, ends_on_sigterm

Result = TypeVar("Result")
Module = Explainer | Scorer | PrototypeSearch  # what runs over blocks


class BlockTrainer(FitTrainer):
    """What the verbs over datasets are made of: a loop over blocks, and processes that decide together.

    Args:
        precision: Lightning's, or ``auto``: bf16-mixed where the machine has bf16 in hardware, 32-true elsewhere.
    """

    callbacks: list[Callback]
    _termination: Termination

    def __init__(self, *args: Any, precision: str | int | None = None, **kwargs: Any) -> None:
        with quiet():
            super().__init__(*args, precision=_chosen(precision, kwargs), **kwargs)
        self._loggers_by_default = _loggers_by_default(kwargs)

    def _over_blocks(
        self,
        module: LightningModule,
        datamodule: BlockDataModule,
        blocks: Sequence[int],
        progress: BlockProgress,
        *others: Callback,
        group: int = 1,
    ) -> None:
        """Run the predict loop over `blocks`, gradients allowed and nothing kept in memory, until all processes end."""
        trainer = self.callbacks, self.predict_loop.inference_mode, self.loggers
        data = datamodule.blocks, datamodule.group
        bar = self.progress_bar_callback
        ending = BlockBoundary(self._termination.listen, self._termination.begin, self._termination.end)
        own = [*([progress] if bar is not None else []), *others, ending]
        try:
            datamodule.blocks, datamodule.group = blocks, group
            self.callbacks = [*(callback for callback in self.callbacks if callback is not bar), *own]
            self.predict_loop.inference_mode = False
            if self._loggers_by_default:
                self.loggers = []
            self.predict(module, datamodule=datamodule, return_predictions=False)
        finally:
            self.callbacks, self.predict_loop.inference_mode, self.loggers = trainer
            datamodule.blocks, datamodule.group = data
        self.strategy.barrier()

    def _on_rank_zero(self, do: Callable[[], Result]) -> Result:
        """Have the first process do something while the others wait; its result, or what it raised, is that of all."""
        result: Any = None
        error: Exception | None = None
        if self.is_global_zero:
            try:
                result = do()
            except Exception as raised:
                error = raised
        result, error = self.strategy.broadcast((result, error))
        if error is not None:
            raise error
        return result

    @contextmanager
    def _explaining(self, model: Module, datamodule: BlockDataModule, limit: int | None) -> Iterator[None]:
        """What all verbs begin and end with; in between the data module knows its images, `limit` of them."""
        if limit is not None and limit < 1:
            raise InputError(f"limit is {limit}, but must be at least 1")
        check_precision(str(self.precision))
        given = datamodule.limit
        launched = isinstance(getattr(self.strategy, "cluster_environment", None), LightningEnvironment)
        status = 0 if launched and self.local_rank > 0 else STATUS  # else its parent ends by SIGKILL, and without word
        with quiet(), ends_on_sigterm(self._terminate_children, status) as self._termination, preserve_state(model):
            try:
                self._launch()
                datamodule.limit = limit
                self._set_up(model, datamodule)
                yield
            finally:
                datamodule.limit = given

    def _whole_pass(self, what: str) -> None:
        """Refuse to run over a part of the blocks only, which would never end what is made of all of them."""
        if isinstance(self.limit_predict_batches, int) or self.limit_predict_batches < 1.0:
            raise InputError(f"{what} need a whole pass: leave out limit_predict_batches and fast_dev_run")

    def _launch(self) -> None:
        """Begin a distributed run now, not in the first `predict`: what is decided on files must be decided together.

        Processes that are spawned or forked live within `predict` only; between two of them there is nobody to meet.
        """
        if isinstance(self.strategy.launcher, _SubprocessScriptLauncher):
            self.strategy.launcher.launch(self.strategy.setup_environment)

    def _terminate_children(self) -> None:
        """Ask the processes to terminate that this one has started."""
        if isinstance(self.strategy.launcher, _SubprocessScriptLauncher):
            self.strategy.launcher.kill(signal.SIGTERM)

    def _set_up(self, model: Module, datamodule: BlockDataModule) -> None:
        """Let the data module list its images for this model, as Lightning will before its loop."""
        self.strategy.connect(model)
        datamodule.trainer = self
        if self.local_rank == 0:
            datamodule.prepare_data()
        self.strategy.barrier()
        datamodule.setup("predict")
        labels = datamodule.explained.labels
        if not labels:
            raise InputError("there are no images to explain: look at the arguments of the data")
        if isinstance(model, Explainer) and model.targets == "label" and max(labels) < 0:
            raise InputError("targets is label, but no image has one: explain the predicted class, or give labels")

    @contextmanager
    def _all_images(self, model: Explainer, datamodule: BlockDataModule) -> Iterator[None]:
        """Without the limit: what is known of all images helps to explain a few."""
        limit, datamodule.limit = datamodule.limit, None
        try:
            self._set_up(model, datamodule)
            yield
        finally:
            datamodule.limit = limit
        self._set_up(model, datamodule)


def _chosen(precision: str | int | None, arguments: dict[str, Any]) -> Any:
    return automatic_precision(arguments.get("accelerator", "auto")) if precision == "auto" else precision


def _loggers_by_default(arguments: dict[str, Any]) -> bool:
    """Whether the Trainer makes its logger itself; explaining logs nothing, so its files would be empty."""
    return arguments.get("logger") in (None, True)
