"""The Trainer: Lightning's, with the verbs that explain datasets."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path as FilePath
from typing import Any

import lightning
import torch
from lightning import Callback, LightningModule
from torch import Tensor

from lit_coiba.bottlenecks import ActivationStatistics, NeedsStatistics
from lit_coiba.bottlenecks.leak import SAMPLE
from lit_coiba.bottlenecks.statistics import describe_preprocessing
from lit_coiba.callbacks import BlockProgress
from lit_coiba.contracts import InputError
from lit_coiba.data.blocks import BlockDataset, count_blocks
from lit_coiba.data.module import BlockDataModule
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.statistics import ChunkedStatistics, StatisticsModule
from lit_coiba.precision import automatic_precision
from lit_coiba.store import ExplanationStore, Manifest
from lit_coiba.store.writer import StoreWriter
from lit_coiba.visualization.contact_sheet import contact_sheet

FEW_IMAGES = 200  # fewer make the standard deviations noisy
ENOUGH_IMAGES = 10_000  # more change little: what IBA's authors advise
VERSIONS = ("lit-coiba", "torch", "lightning", "timm", "captum")


class Trainer(lightning.Trainer):
    """Lightning's Trainer with two more verbs: `statistics` and `explain`.

    Args:
        precision: Lightning's, or ``auto``: bf16-mixed where the machine has bf16 in hardware, 32-true elsewhere.
    """

    callbacks: list[Callback]

    def __init__(self, *args: Any, precision: str | int | None = None, **kwargs: Any) -> None:
        chosen: Any = automatic_precision() if precision == "auto" else precision
        super().__init__(*args, precision=chosen, **kwargs)

    def statistics(
        self, model: Explainer, datamodule: BlockDataModule, file: str, images: int = ENOUGH_IMAGES
    ) -> ActivationStatistics:
        """Estimate the activation statistics a method needs over a dataset, in one sharded pass, and test for leaks.

        Args:
            model: Model and method.
            datamodule: The images, those of the domain that will be explained.
            file: Where to keep the statistics (safetensors). What a stopped run had done is kept beside it.
            images: Use about this many images, evenly spaced over the dataset.

        Raises:
            InputError: The method needs no statistics, or there are fewer than two readable images.
        """
        method, network = model.method, model.network
        if not isinstance(method, NeedsStatistics):
            raise InputError(f"{type(method).__name__} needs no activation statistics: go on with `explain`")
        layers = method.statistics_layers(network)
        _set_up(model, datamodule, limit=None)  # what is known of all images helps to explain a few
        blocks = _spread(datamodule, images)
        identity = [network.digest(), describe_preprocessing(network), layers, blocks, _ids_digest(datamodule)]
        folder = FilePath(f"{file}.{hashlib.sha256(repr(identity).encode()).hexdigest()[:12]}.parts")
        chunks = ChunkedStatistics(folder, blocks, layers)
        if missing := chunks.missing():
            module = StatisticsModule(network, chunks)
            self._over_blocks(module, datamodule, missing, BlockProgress("Statistics"), group=chunks.length)
        moments = chunks.merged()
        seen = next(iter(moments.values())).size if moments else 0
        if seen < 2:
            raise InputError(f"activation statistics need at least two readable images, the data has {seen}")
        if seen < FEW_IMAGES:
            warnings.warn(f"activation statistics of {seen} images are noisy: take {FEW_IMAGES} or more", stacklevel=2)
        network.to(self.strategy.root_device)
        statistics = method.adopt(network, ActivationStatistics.from_moments(network, moments), _sample(datamodule))
        statistics.save(file)
        chunks.remove()
        return statistics

    def explain(
        self, model: Explainer, datamodule: BlockDataModule, store: str, limit: int | None = None
    ) -> ExplanationStore:
        """Explain a dataset into a store. The same call again does what is missing, and nothing twice.

        Statistics that the method needs and was not given are estimated first, and kept in the store. At the end a
        contact sheet of some images is drawn beside the blocks.

        Args:
            model: Model, method and targets.
            datamodule: The images.
            store: Folder of the store; created, or resumed where it was made with the same arguments.
            limit: Explain only this many images, evenly spaced over the dataset.

        Returns:
            The store, complete.

        Raises:
            InputError: The folder holds a store that was made with other arguments.
        """
        limit = datamodule.limit if limit is None else limit
        _set_up(model, datamodule, limit=None)
        statistics = self._prepare(model, datamodule, FilePath(store) / "statistics.safetensors")
        _set_up(model, datamodule, limit)
        opened = ExplanationStore.open(store, self._manifest(model, datamodule, statistics))
        missing = opened.missing(count_blocks(len(datamodule.explained), datamodule.batch_size))
        if missing:
            self._over_blocks(model, datamodule, missing, BlockProgress(), StoreWriter(opened))
        finished = ExplanationStore(store)
        contact_sheet(finished, datamodule.explained, model.preprocessing, FilePath(store) / "contact_sheet.png")
        return finished

    def _prepare(self, model: Explainer, datamodule: BlockDataModule, file: FilePath) -> ActivationStatistics | None:
        """Give the method what it needs to know about the data; the statistics it uses, if it uses any."""
        method, network = model.method, model.network
        if not isinstance(method, NeedsStatistics):
            blocks = BlockDataset(datamodule.explained, model.preprocessing, datamodule.batch_size)
            method.prepare(network, (blocks[k] for k in _spread(datamodule, ENOUGH_IMAGES)))
            return None
        given = method.arguments().get("statistics")
        if given is None and not file.exists():
            return self.statistics(model, datamodule, str(file))
        return method.adopt(network, ActivationStatistics.load(given or file), _sample(datamodule))

    def _over_blocks(
        self,
        module: LightningModule,
        datamodule: BlockDataModule,
        blocks: Sequence[int],
        progress: BlockProgress,
        writer: Callback | None = None,
        group: int = 1,
    ) -> None:
        """Run the predict loop over `blocks`, with gradients allowed and nothing kept in memory."""
        datamodule.blocks, datamodule.group = blocks, group
        callbacks, inference_mode = self.callbacks, self.predict_loop.inference_mode
        shown = [progress] if self.progress_bar_callback is not None else []
        others = [callback for callback in callbacks if callback is not self.progress_bar_callback]
        self.callbacks = [*others, *shown, *([writer] if writer is not None else [])]
        self.predict_loop.inference_mode = False
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".*does not have many workers.*")
                self.predict(module, datamodule=datamodule, return_predictions=False)
        finally:
            self.callbacks, self.predict_loop.inference_mode = callbacks, inference_mode
            datamodule.blocks, datamodule.group = None, 1

    def _manifest(
        self, model: Explainer, datamodule: BlockDataModule, statistics: ActivationStatistics | None
    ) -> Manifest:
        arguments = model.method.arguments()
        arguments.pop("statistics", None)  # a path; the digest says what counts
        identity = {
            "model": model.network.digest(),
            "method": {"class": type(model.method).__name__, **arguments},
            "targets": str(model.targets),
            "preprocessing": json.loads(describe_preprocessing(model.network)),
            "ids": _ids_digest(datamodule),
            "samples": len(datamodule.explained),
            "block_size": datamodule.batch_size,
            "statistics": statistics.digest() if statistics else None,
            "precision": str(self.precision),
        }
        recorded = {
            "versions": {name: version(name) for name in VERSIONS},
            "accelerator": type(self.accelerator).__name__,
            "devices": self.num_devices,
            "workers": datamodule.num_workers,
            "threads": torch.get_num_threads(),
        }
        return Manifest(identity, recorded)


def _set_up(model: Explainer, datamodule: BlockDataModule, limit: int | None) -> None:
    """Make the data module's list of images known, before the loop does."""
    datamodule.preprocessing, datamodule.limit = model.preprocessing, limit
    datamodule.prepare_data()
    datamodule.setup("predict")


def _spread(datamodule: BlockDataModule, images: int) -> list[int]:
    """Numbers of blocks that hold about `images` images, evenly spaced over the dataset."""
    blocks = count_blocks(len(datamodule.explained), datamodule.batch_size)
    wanted = min(blocks, -(-images // datamodule.batch_size))
    return [k * blocks // wanted for k in range(wanted)]


def _sample(datamodule: BlockDataModule) -> Iterator[Tensor]:
    """Images for a leak test; nothing is read before they are asked for."""
    assert datamodule.preprocessing is not None
    blocks = BlockDataset(datamodule.explained, datamodule.preprocessing, datamodule.batch_size)
    yield from (batch.images for batch in (blocks[k] for k in _spread(datamodule, SAMPLE)) if len(batch.images))


def _ids_digest(datamodule: BlockDataModule) -> str:
    return hashlib.sha256(json.dumps(datamodule.explained.ids).encode()).hexdigest()
