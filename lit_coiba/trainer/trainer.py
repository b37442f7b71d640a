"""The Trainer: Lightning's, with the verbs that explain datasets."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import lightning
from lightning import Callback, LightningDataModule, LightningModule

from lit_coiba.benchmark import Leaderboard
from lit_coiba.bottlenecks import ActivationStatistics
from lit_coiba.core.errors import InputError
from lit_coiba.data.module import BlockDataModule, Pass
from lit_coiba.data.shard import Shard
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.prototype_search import PrototypeSearch
from lit_coiba.modules.scorer import Scorer
from lit_coiba.prototypes import Prototypes
from lit_coiba.store import ExplanationStore
from lit_coiba.trainer.benchmark import benchmark, open_stores
from lit_coiba.trainer.block_run import BlockRun, Module, block_run
from lit_coiba.trainer.explain import explain
from lit_coiba.trainer.precision import automatic_precision
from lit_coiba.trainer.prototypes import check_prototypes_arguments, measure_prototypes, search_prototypes
from lit_coiba.trainer.quiet import quiet, without_tips
from lit_coiba.trainer.statistics import ENOUGH_IMAGES, check_statistics_arguments, estimate, remove_parts
from lit_coiba.training.feature_cache import CachedFeatures


class Trainer(lightning.Trainer):
    """Lightning's Trainer with more verbs: `statistics`, `explain`, `benchmark` and `prototypes`.

    All leave the model, the data module and the global random state as they were, also when they raise, and write
    nothing to the logger that Lightning makes where none is given. Several processes share the blocks of a run. When it
    is asked to terminate (SIGTERM), a run finishes the block in hand and ends with status 143; the same call goes on.

    Args:
        precision: Precision as Lightning names it, or ``auto``: bf16-mixed where the machine has bf16 in hardware,
            32-true elsewhere.
    """

    callbacks: list[Callback]

    def __init__(self, *args: Any, precision: str | int | None = None, **kwargs: Any) -> None:
        chosen: Any = automatic_precision(kwargs.get("accelerator", "auto")) if precision == "auto" else precision
        with quiet():
            super().__init__(*args, precision=chosen, **kwargs)
        self._logger_given = kwargs.get("logger") not in (None, True)  # else Lightning makes one, and it stays empty

    def fit(
        self,
        model: LightningModule,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        ckpt_path: str | Path | None = None,
        weights_only: bool | None = None,
        cache: str | None = None,
        views: int = 1,
    ) -> None:
        """Lightning's `fit`; with a frozen backbone and a head, features need be computed only once.

        Args:
            model: The module.
            train_dataloaders: See Lightning.
            val_dataloaders: See Lightning.
            datamodule: The data.
            ckpt_path: Checkpoint to go on from.
            weights_only: See Lightning.
            cache: Folder for the features of a frozen backbone: epochs then cost the head alone; see `CachedFeatures`.
            views: Number of times that each training sample is kept in it, where the data augment them at random.

        Raises:
            InputError: A cache for a backbone that is not frozen, or for data that are not this project's.
        """
        if cache is not None:
            if not isinstance(datamodule, BlockDataModule):
                raise InputError("cache needs a data module of this project: give one as datamodule")
            datamodule = CachedFeatures(datamodule, cache, views)
        with without_tips():
            super().fit(model, train_dataloaders, val_dataloaders, datamodule, ckpt_path, weights_only)

    def statistics(
        self, model: Explainer, datamodule: BlockDataModule, file: str, images: int = ENOUGH_IMAGES
    ) -> ActivationStatistics:
        """Estimate the activation statistics a method needs over a dataset, in one sharded pass, and test for leaks.

        Args:
            model: Model and method.
            datamodule: The images, those of the domain that will be explained; its `limit` does not count here.
            file: File to keep the statistics in (safetensors). What a stopped run had done is kept beside it.
            images: Number of images to use, about, evenly spaced over the dataset.

        Raises:
            InputError: The method needs no statistics, or there are fewer than two readable images.
        """
        check_statistics_arguments(Path(file), images)
        with self._block_run(model, datamodule, Pass()) as run:
            found = estimate(run, Path(file), images)
            run.on_rank_zero(lambda: remove_parts(Path(file)))
            return found

    def explain(
        self,
        model: Explainer,
        datamodule: BlockDataModule,
        store: str,
        limit: int | None = None,
        retry_failed: bool = False,
        shard: str | tuple[int, int] | None = None,
        pictures: bool = True,
    ) -> ExplanationStore:
        """Explain a dataset into a store. The same call again does what is missing, and nothing twice.

        Statistics that the method needs and was not given are estimated first, over all images, and kept in the store.
        At the end pictures are drawn beside the blocks (see the callbacks `ContactSheet` and `Decisions`); when no
        block is missing, they are put into few files.

        Jobs that do not talk to one another share a run by `shard`. In one folder they share statistics too; where each
        has its own, as `lit-coiba merge` joins, give all of them the file of one `statistics`: those of two kinds of
        machine may differ in the last bit, and then the stores are of different runs.

        Args:
            model: Model, method and targets.
            datamodule: The images.
            store: Folder of the store; created, or resumed where it was made with the same arguments.
            limit: Number of images to explain; evenly spaced over the dataset, unless its `limit_order` is ``first``.
            retry_failed: Whether to do the blocks again in which an image failed: after fixing the files.
            shard: Share of the blocks to do, i/n: those whose number leaves i when it is divided by n, for i from 0 to
                n - 1.
            pictures: Whether to draw a contact sheet, decisions where `HeadAttribution` has prototypes, and the images
                in the log for TensorBoard. Callbacks of the Trainer's that draw are not affected.

        Returns:
            The store, complete but for other shards and for what Lightning's `limit_predict_batches` left out.

        Raises:
            InputError: The folder holds a store that was made with other arguments, or these cannot be explained.
        """
        share = Shard.of(shard)
        with self._block_run(model, datamodule, Pass(limit=datamodule.limit if limit is None else limit)) as run:
            return explain(run, Path(store), share, retry_failed, pictures)

    def benchmark(
        self,
        model: Scorer,
        datamodule: BlockDataModule,
        stores: list[str],
        output: str,
        limit: int | None = None,
        shard: str | tuple[int, int] | None = None,
    ) -> Leaderboard:
        """Score the explanations in stores by the same metrics, on the same samples, into one table.

        Random maps and gradient saliency are always in the table, and where the data know where the object is, the
        oracle: its share of each cell. Scores of every explanation go into a store per method, below `output`, so the
        same call again does what is missing; the table is written beside them as Markdown and CSV.

        Args:
            model: The model that was explained, and the metrics.
            datamodule: The images that were explained.
            stores: Folders of the explanations; what all of them explain is scored.
            output: Folder for the scores and the table.
            limit: Number of images to score; evenly spaced over the dataset, unless its `limit_order` is ``first``.
            shard: Share of the blocks to do, i/n, as in `explain`; the table is of what all of them have done.

        Returns:
            The table.

        Raises:
            InputError: A store is of another model, or has other images; or nothing is common to all.
        """
        opened, share = open_stores(stores, Path(output)), Shard.of(shard)
        with self._block_run(model, datamodule, Pass(limit=datamodule.limit if limit is None else limit)) as run:
            return benchmark(run, opened, Path(output), share)

    def prototypes(
        self,
        model: PrototypeSearch,
        datamodule: BlockDataModule,
        output: str,
        split: Literal["train", "val", "test", "predict"] = "train",
        limit: int | None = None,
        pages: int = 10,
        evaluate: bool = False,
    ) -> Prototypes:
        """Find for every unit of a head the training images that it answers to most, and where in them.

        One pass over the images, whose memory does not grow with their number; an image comes once for a unit. The same
        call again goes on where it was stopped. `output` gets the table of patches with crops (prototypes.parquet),
        units that answer to nothing, that no class uses or that show the same as another (prototypes.json), pages of
        the units that can add most to a logit, pages of the classes, and both for TensorBoard.

        Args:
            model: The classifier, and what is looked for.
            datamodule: The images.
            output: Folder for all of it.
            split: Split to take images from: that which the head was trained on, in general.
            limit: Number of images to look for prototypes in, evenly spaced, unless the data's `limit_order` is
                ``first``; None = all. What `evaluate` measures on is bounded by data.limit instead.
            pages: Number of pages of ten units to draw, and of pages of classes; 0 = none.
            evaluate: Whether to measure them too, see `prototypes.evaluation`, on the images that `explain` would
                take: do prototypes stay on one part and show one, how many make an explanation; evaluation.md and
                .json.

        Returns:
            The prototypes.

        Raises:
            InputError: The folder holds prototypes that were made with other arguments; no image can be read.
        """
        folder = Path(output)
        check_prototypes_arguments(folder, split, pages, evaluate)
        with self._block_run(model, datamodule, Pass(split, limit)) as run:
            search_prototypes(run, folder, pages)
        if evaluate:
            with self._block_run(model, datamodule, Pass(limit=datamodule.limit)) as run:
                measure_prototypes(run, folder)
        return Prototypes(folder)

    def _block_run(
        self, model: Module, datamodule: BlockDataModule, through: Pass
    ) -> AbstractContextManager[BlockRun[Module]]:
        """A run of a module over the blocks of `through`."""
        return block_run(self, model, datamodule, through, keep_loggers=self._logger_given)
