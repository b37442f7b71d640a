"""The Trainer: Lightning's, with the verbs that explain datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import lightning
from lightning import Callback, LightningDataModule, LightningModule

from lit_coiba.bottlenecks import ActivationStatistics
from lit_coiba.callbacks import PredictionTable
from lit_coiba.core.errors import InputError
from lit_coiba.data.module import BlockDataModule, Pass
from lit_coiba.data.shard import Shard
from lit_coiba.files.owned import is_marked
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.prototype_search import PrototypeSearch
from lit_coiba.prototypes import Prototypes
from lit_coiba.store import ExplanationStore
from lit_coiba.trainer.changes import IfChanged
from lit_coiba.trainer.checkpoint_files import own_checkpoint_files
from lit_coiba.trainer.concepts import ConceptVerb
from lit_coiba.trainer.dictionary import DictionaryVerb
from lit_coiba.trainer.explain import explain
from lit_coiba.trainer.fit import fit_run, own_signals
from lit_coiba.trainer.places import place_of, store_place
from lit_coiba.trainer.precision import automatic_precision
from lit_coiba.trainer.processes import check_devices, own_launcher
from lit_coiba.trainer.prototypes import check_prototypes_arguments, measure_prototypes, search_prototypes
from lit_coiba.trainer.quiet import quiet, without_tips
from lit_coiba.trainer.representativity import FoldVerb
from lit_coiba.trainer.restoration import Restoration, close_gate
from lit_coiba.trainer.scoring_verbs import ScoringVerbs, limit_of
from lit_coiba.trainer.statistics import ENOUGH_IMAGES, check_statistics_arguments, estimate, remove_parts
from lit_coiba.trainer.visualize import VisualizationVerb
from lit_coiba.training.classifier import Classifier
from lit_coiba.training.feature_cache import VERB as CACHE
from lit_coiba.training.feature_cache import CachedFeatures, is_feature_file


class Trainer(ScoringVerbs, FoldVerb, ConceptVerb, DictionaryVerb, VisualizationVerb, lightning.Trainer):
    """Lightning's Trainer with more verbs: `statistics`, `explain`, `compare`, `benchmark`, `calibrate`, `parts`,
    `representativity`, `prototypes`, `concepts`, `dictionary` and `visualize`.

    All leave the model, the data module and the global random state as they were, also after an error, and write
    nothing to the logger that Lightning makes if none is given. Several processes share the blocks of a run. On SIGTERM
    a run finishes the current block and ends with status 143; the same call continues it.

    Args:
        precision: Precision by Lightning's names, or ``auto``: bf16-mixed where the machine has bf16 in hardware,
            32-true elsewhere.
    """

    callbacks: list[Callback]
    predictions: PredictionTable | None = None  # of the last `predict` of a classifier

    def __init__(self, *args: Any, precision: str | int | None = None, **kwargs: Any) -> None:
        check_devices(kwargs.get("devices"))
        chosen: Any = automatic_precision(kwargs.get("accelerator", "auto")) if precision == "auto" else precision
        with quiet():
            super().__init__(*args, precision=chosen, **kwargs)
        self._checkpoint_connector = Restoration(self)
        close_gate(self)
        own_launcher(self)
        own_signals(self)
        own_checkpoint_files(self)
        self.given = {**kwargs, "precision": precision}
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
        """Lightning's `fit`; with a frozen backbone and a head, features can be computed only once.

        Args:
            model: The module.
            train_dataloaders: See Lightning.
            val_dataloaders: See Lightning.
            datamodule: The data.
            ckpt_path: Checkpoint to continue from.
            weights_only: See Lightning.
            cache: Folder for the features of a frozen backbone: an epoch then costs the head alone; see
                `CachedFeatures`.
            views: Number of versions of each training sample to cache, if the data augment them at random.

        Raises:
            InputError: The backbone of a cache is not frozen, or the data module is not one of lit-coiba.
        """
        data = datamodule
        if cache is not None:
            if not isinstance(datamodule, BlockDataModule):
                raise InputError("cache needs a data module of lit-coiba: give one as datamodule, such as ImageFolder")
            folder = place_of(cache, "cache", datamodule, lambda found: is_marked(found, CACHE), is_feature_file)
            datamodule = CachedFeatures(datamodule, str(folder), views)
        with without_tips(), fit_run(self, data):
            super().fit(model, train_dataloaders, val_dataloaders, datamodule, ckpt_path, weights_only)

    def predict(
        self,
        model: LightningModule | None = None,
        dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        return_predictions: bool | None = None,
        ckpt_path: str | Path | None = None,
        weights_only: bool | None = None,
        output: str | None = None,
        top: int = 5,
    ) -> list[Any] | list[list[Any]] | None:
        """Lightning's `predict`; of a `Classifier`, it can write a table of the most probable classes of each image.

        Args:
            model: The module.
            dataloaders: See Lightning.
            datamodule: The data.
            return_predictions: See Lightning.
            ckpt_path: Checkpoint of the weights.
            weights_only: See Lightning.
            output: File for the table, .csv or .parquet: id, label, and number, name and probability of the most
                probable classes, and the certified radius of the decision where the model has a certificate. None = no
                file.
            top: Number of classes of each image in the table.

        Raises:
            InputError: The file has another format, or was not written by this.
        """
        if output is None and not isinstance(model, Classifier):  # such as the modules that explain
            return super().predict(model, dataloaders, datamodule, return_predictions, ckpt_path, weights_only)
        self.predictions = table = PredictionTable(top, output)
        callbacks = self.callbacks
        self.callbacks = [*callbacks, table]
        try:
            with quiet():
                return super().predict(model, dataloaders, datamodule, return_predictions, ckpt_path, weights_only)
        finally:
            self.callbacks = callbacks

    def statistics(
        self, model: Explainer, datamodule: BlockDataModule, file: str, images: int = ENOUGH_IMAGES
    ) -> ActivationStatistics:
        """Estimate the activation statistics that a method needs, in one pass over a dataset, and test for leaks.

        Args:
            model: Model and method.
            datamodule: Images of the domain that will be explained; its `limit` is ignored here.
            file: File to write the statistics to (safetensors). A stopped run keeps its results beside it.
            images: Approximate number of images to use, evenly spaced over the dataset.

        Raises:
            InputError: The method needs no statistics, or there are fewer than two readable images.
        """
        path = check_statistics_arguments(file, images, datamodule)
        with self._over(model, datamodule, Pass()) as run:
            found = estimate(run, path, images)
            run.on_rank_zero(lambda: remove_parts(path))
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
        if_changed: IfChanged = "refuse",
    ) -> ExplanationStore:
        """Explain a dataset into a store. The same call again explains what is missing and repeats nothing.

        If the method needs statistics and has none, they are estimated first, over all images, and kept in the store.
        At the end pictures are drawn beside the blocks (see the callbacks `ContactSheet` and `Decisions`); when no
        block is missing, the blocks are merged into few files.

        Independent jobs share a run by `shard`. In one folder they share the statistics too. If each job has its own
        folder, to be joined by `lit-coiba merge`, give all of them the file of one `statistics`: statistics of two
        kinds of machine may differ in the last bit, and their stores then belong to different runs.

        Args:
            model: Model, method and targets.
            datamodule: The images.
            store: Folder of the store; created, or continued if it was made with the same arguments.
            limit: Number of images to explain; evenly spaced over the dataset, unless its `limit_order` is ``first``.
            retry_failed: Whether to repeat the blocks in which an image failed, after fixing the files.
            shard: Shard of the blocks to explain, i/n: every n-th block from block i on, with i from 0 to n - 1.
            pictures: Whether to draw a contact sheet, decisions if `HeadAttribution` has prototypes, and the images in
                the TensorBoard log. The Trainer's own callbacks are not affected.
            if_changed: What to do if pictures, labels, class names or weights that decide the explanations have changed
                since the store was made: ``refuse``, naming one of them, or ``recompute`` what depends on them.

        Returns:
            The store, complete except for other shards and for what Lightning's `limit_predict_batches` left out.

        Raises:
            InputError: The folder has a store that was made with other arguments, or these images cannot be explained.
        """
        share, folder = Shard.of(shard), store_place(store, datamodule)
        with self._over(model, datamodule, Pass(limit=limit_of(datamodule, limit)), folder) as run:
            return explain(run, folder, share, retry_failed, pictures, if_changed)

    def prototypes(
        self,
        model: PrototypeSearch,
        datamodule: BlockDataModule,
        output: str,
        split: Literal["train", "val", "test", "predict"] = "train",
        limit: int | None = None,
        pages: int = 10,
        evaluate: bool = False,
        if_changed: IfChanged = "refuse",
    ) -> Prototypes:
        """Find the training images that activate each unit of a head most, and the place in each of them.

        This takes one pass over the images, in memory that does not grow with their number; each unit keeps an image at
        most once. The same call again continues a stopped run. `output` gets the table of patches with crops
        (prototypes.parquet), the dead, unused and duplicate units (prototypes.json), pages of the units that can add
        most to a logit, pages of the classes, and both for TensorBoard.

        Args:
            model: The classifier, and the settings of the search.
            datamodule: The images.
            output: Folder for all results.
            split: Split to take images from: in general the one that the head was trained on.
            limit: Number of images to search for prototypes, evenly spaced, unless the data's `limit_order` is
                ``first``; None = all. The images that `evaluate` measures on are limited by data.limit instead.
            pages: Number of pages to draw of ten units each, and of pages of classes; 0 = none.
            evaluate: Whether to measure the prototypes too, on the images that `explain` would take: whether they stay
                on one part and show one part, and how many make up an explanation; see `prototypes.evaluation`. Written
                to evaluation.md and evaluation.json.
            if_changed: What to do if pictures or weights have changed since the prototypes in `output` were found:
                ``refuse``, naming one of them, or ``recompute`` everything. Labels and class names are refreshed.

        Returns:
            The prototypes.

        Raises:
            InputError: The folder has prototypes that were made with other arguments, or no image can be read.
        """
        folder = check_prototypes_arguments(output, split, pages, evaluate, datamodule)
        with self._over(model, datamodule, Pass(split, limit), folder) as run:
            search_prototypes(run, folder, pages, if_changed)
        if evaluate:
            with self._over(model, datamodule, Pass(limit=limit_of(datamodule)), folder) as run:
                measure_prototypes(run, folder)
        return Prototypes(folder)
