"""The Trainer: Lightning's, with the verbs that explain datasets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path as FilePath
from typing import Any

import lightning
from lightning import Callback, LightningModule
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from torch import Tensor

from lit_coiba.bottlenecks import ActivationStatistics, NeedsStatistics
from lit_coiba.bottlenecks.leak import SAMPLE
from lit_coiba.callbacks import BlockProgress
from lit_coiba.contracts import InputError
from lit_coiba.data.blocks import BlockDataset
from lit_coiba.data.module import BlockDataModule
from lit_coiba.frozen import untouched
from lit_coiba.identity import (
    check_place,
    check_precision,
    check_store,
    circumstances,
    identity_of,
    ids_digest,
    preprocessing_of,
)
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.statistics import ChunkedStatistics, StatisticsModule
from lit_coiba.precision import automatic_precision
from lit_coiba.quiet import quiet
from lit_coiba.store import ExplanationStore, Manifest
from lit_coiba.store.writer import StoreWriter
from lit_coiba.termination import ends_on_sigterm
from lit_coiba.visualization.contact_sheet import contact_sheet

ENOUGH_IMAGES = 10_000  # more change little: what IBA's authors advise


class Trainer(lightning.Trainer):
    """Lightning's Trainer with two more verbs: `statistics` and `explain`.

    Both leave the model, the data module and the global random state as they were, also when they raise, and write
    nothing to the logger that Lightning makes where none is given. Several processes share the blocks of a run.

    Args:
        precision: Lightning's, or ``auto``: bf16-mixed where the machine has bf16 in hardware, 32-true elsewhere.
    """

    callbacks: list[Callback]

    def __init__(self, *args: Any, precision: str | int | None = None, **kwargs: Any) -> None:
        with quiet():
            super().__init__(*args, precision=_chosen(precision, kwargs), **kwargs)
        self._loggers_by_default = _loggers_by_default(kwargs)

    def statistics(
        self, model: Explainer, datamodule: BlockDataModule, file: str, images: int = ENOUGH_IMAGES
    ) -> ActivationStatistics:
        """Estimate the activation statistics a method needs over a dataset, in one sharded pass, and test for leaks.

        Args:
            model: Model and method.
            datamodule: The images, those of the domain that will be explained; its `limit` does not count here.
            file: Where to keep the statistics (safetensors). What a stopped run had done is kept beside it.
            images: Use about this many images, evenly spaced over the dataset.

        Raises:
            InputError: The method needs no statistics, or there are fewer than two readable images.
        """
        if images < 2:
            raise InputError(f"images is {images}, but a standard deviation needs at least 2")
        check_place(FilePath(file).parent, "file")
        if FilePath(file).is_dir():
            raise InputError(f"file {file} is a folder: give the name of the file of statistics")
        with self._explaining(model, datamodule, None):
            return self._estimated(model, datamodule, FilePath(file), images)

    def explain(
        self,
        model: Explainer,
        datamodule: BlockDataModule,
        store: str,
        limit: int | None = None,
        retry_failed: bool = False,
    ) -> ExplanationStore:
        """Explain a dataset into a store. The same call again does what is missing, and nothing twice.

        Statistics that the method needs and was not given are estimated first, over all images, and kept in the store.
        At the end a contact sheet of some images is drawn beside the blocks.

        Args:
            model: Model, method and targets.
            datamodule: The images.
            store: Folder of the store; created, or resumed where it was made with the same arguments.
            limit: Explain only this many images; evenly spaced over the dataset, unless its `limit_order` is ``first``.
            retry_failed: Do the blocks again in which an image failed: when files have been mended.

        Returns:
            The store, complete but for what Lightning's `limit_predict_batches` left out.

        Raises:
            InputError: The folder holds a store that was made with other arguments, or these cannot be explained.
        """
        if limit is not None and limit < 1:
            raise InputError(f"limit is {limit}, but must be at least 1")
        folder = FilePath(store)
        with self._explaining(model, datamodule, datamodule.limit if limit is None else limit):
            identity = identity_of(model, datamodule, str(self.precision))
            resumes = check_store(folder, identity)
            statistics = self._prepare(model, datamodule, folder / "statistics.safetensors", resumes)
            identity["statistics"] = statistics.digest() if statistics else None
            recorded = circumstances(datamodule, type(self.accelerator).__name__, self.num_devices)
            opened = ExplanationStore.open(folder, Manifest(identity, recorded))
            blocks = self.strategy.broadcast(_to_do(opened, datamodule, retry_failed) if self.is_global_zero else [])
            if blocks:
                self._over_blocks(model, datamodule, blocks, BlockProgress(), StoreWriter(opened))

            def draw() -> None:
                sheet = folder / "contact_sheet.png"
                if blocks or not sheet.exists():
                    contact_sheet(opened, datamodule.explained, datamodule.transform.preprocessing, sheet)

            self._on_first(draw)
        return ExplanationStore(folder)

    def _prepare(
        self, model: Explainer, datamodule: BlockDataModule, kept: FilePath, resumes: bool
    ) -> ActivationStatistics | None:
        """Give the method what it needs to know about the data, all of it; the statistics it uses, if it uses any."""
        method, network = model.method, model.network
        with self._all_images(model, datamodule):
            if not isinstance(method, NeedsStatistics):
                method.prepare(network, _batches(datamodule, ENOUGH_IMAGES))
                return None
            given = method.arguments().get("statistics")
            if self.strategy.broadcast(not given and not (resumes and kept.exists())):
                return self._estimated(model, datamodule, kept, ENOUGH_IMAGES)
            statistics = ActivationStatistics.load(given or kept)
            if statistics.leak is None:
                network.to(self.strategy.root_device)
            return method.adopt(network, statistics, _batches(datamodule, SAMPLE))

    def _estimated(
        self, model: Explainer, datamodule: BlockDataModule, file: FilePath, images: int
    ) -> ActivationStatistics:
        """Statistics in `file`, in use by the method: estimated by all processes, put together by the first one."""
        method, network = model.method, model.network
        if not isinstance(method, NeedsStatistics):
            raise InputError(f"{type(method).__name__} needs no activation statistics: go on with `explain`")
        if isinstance(self.limit_predict_batches, int) or self.limit_predict_batches < 1.0:
            raise InputError("statistics need a whole pass: leave out limit_predict_batches and fast_dev_run")
        layers = method.statistics_layers(network)
        blocks = _spread(datamodule, images)
        sources = [preprocessing_of(datamodule), ids_digest(datamodule), datamodule.batch_size, blocks]
        parts = hashlib.sha256(repr([network.digest(), layers, str(self.precision), *sources]).encode()).hexdigest()
        chunks = ChunkedStatistics(FilePath(f"{file}.{parts[:12]}.parts"), blocks, layers)
        while missing := self.strategy.broadcast(chunks.missing()):  # another run may have merged and removed them
            module = StatisticsModule(network, chunks)
            self._over_blocks(module, datamodule, missing, BlockProgress("Statistics"), group=chunks.length)

        def finish() -> None:
            network.to(self.strategy.root_device)
            method.adopt(network, chunks.statistics(network), _batches(datamodule, SAMPLE)).save(file)
            chunks.remove()

        self._on_first(finish)
        return method.adopt(network, ActivationStatistics.load(file), ())

    def _over_blocks(
        self,
        module: LightningModule,
        datamodule: BlockDataModule,
        blocks: Sequence[int],
        progress: BlockProgress,
        writer: Callback | None = None,
        group: int = 1,
    ) -> None:
        """Run the predict loop over `blocks`, gradients allowed and nothing kept in memory, until all processes end."""
        trainer = self.callbacks, self.predict_loop.inference_mode, self.loggers
        data = datamodule.blocks, datamodule.group
        bar = self.progress_bar_callback
        own = [*([progress] if bar is not None else []), *([writer] if writer is not None else [])]
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

    def _on_first(self, do: Callable[[], Any]) -> None:
        """Have the first process do something while the others wait; what goes wrong there is raised on all."""
        error: Exception | None = None
        if self.is_global_zero:
            try:
                do()
            except Exception as raised:
                error = raised
        error = self.strategy.broadcast(error)
        if error is not None:
            raise error

    @contextmanager
    def _explaining(self, model: Explainer, datamodule: BlockDataModule, limit: int | None) -> Iterator[None]:
        """What both verbs begin and end with; in between the data module knows its images, `limit` of them."""
        check_precision(str(self.precision))
        given = datamodule.limit
        with quiet(), ends_on_sigterm(), untouched(model):
            try:
                self._meet()
                datamodule.limit = limit
                self._set_up(model, datamodule)
                yield
            finally:
                datamodule.limit = given

    def _meet(self) -> None:
        """Begin a distributed run now, not in the first `predict`: what is decided on files must be decided together.

        Processes that are spawned or forked live within `predict` only; between two of them there is nobody to meet.
        """
        if isinstance(self.strategy.launcher, _SubprocessScriptLauncher):
            self.strategy.launcher.launch(self.strategy.setup_environment)

    def _set_up(self, model: Explainer, datamodule: BlockDataModule) -> None:
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
        if model.targets == "label" and max(labels) < 0:
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


def _to_do(store: ExplanationStore, datamodule: BlockDataModule, retry_failed: bool) -> list[int]:
    """Numbers of the blocks that are missing, and where asked for of those with a failure."""
    blocks = set(store.missing(datamodule.total_blocks))
    if retry_failed:
        failed = {failure.id for failure in store.failures()}
        blocks |= {i // datamodule.batch_size for i, name in enumerate(datamodule.explained.ids) if name in failed}
    return sorted(blocks)


def _spread(datamodule: BlockDataModule, images: int) -> list[int]:
    """Numbers of blocks that hold about `images` images, evenly spaced over the dataset."""
    wanted = min(datamodule.total_blocks, -(-images // datamodule.batch_size))
    return [k * datamodule.total_blocks // wanted for k in range(wanted)]


def _batches(datamodule: BlockDataModule, images: int) -> Iterator[Tensor]:
    """About `images` images, block by block; nothing is read before it is asked for."""
    blocks = BlockDataset(datamodule.explained, datamodule.transform.preprocessing, datamodule.batch_size)
    yield from (batch.images for batch in (blocks[k] for k in _spread(datamodule, images)) if len(batch.images))


def _chosen(precision: str | int | None, arguments: dict[str, Any]) -> Any:
    return automatic_precision(arguments.get("accelerator", "auto")) if precision == "auto" else precision


def _loggers_by_default(arguments: dict[str, Any]) -> bool:
    """Whether the Trainer makes its logger itself; explaining logs nothing, so its files would be empty."""
    return arguments.get("logger") in (None, True)
