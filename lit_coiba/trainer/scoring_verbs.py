"""The Trainer's verbs about which explanation to believe."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from lit_coiba.attribution import RandomMap
from lit_coiba.benchmark import Leaderboard
from lit_coiba.benchmark.calibration import Verdict, check_verdicts
from lit_coiba.benchmark.part_table import PartTable
from lit_coiba.benchmark.saving import check_tables
from lit_coiba.data.module import BlockDataModule, Pass
from lit_coiba.data.shard import Shard
from lit_coiba.files.owned import claim_folder, is_marked
from lit_coiba.metrics.suites import load_suite
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.method_comparison import MethodComparison
from lit_coiba.modules.part_evaluator import PartEvaluator
from lit_coiba.modules.scorer import Scorer
from lit_coiba.store import ExplanationStore
from lit_coiba.store.folder import is_store
from lit_coiba.trainer.benchmark import benchmark, benchmark_place, calibrate, open_stores
from lit_coiba.trainer.block_run import BlockRun, Module, block_run
from lit_coiba.trainer.changes import IfChanged
from lit_coiba.trainer.compare import Compared, compare, compare_place, methods_of, metrics_of
from lit_coiba.trainer.parts import evaluate_parts, parts_place
from lit_coiba.trainer.places import place_of

CALIBRATION = "calibrate"


class ScoringVerbs:
    """Verbs of the Trainer that score explanations."""

    _logger_given: bool  # whether the user gave a logger
    explain: Callable[..., ExplanationStore]  # the Trainer's, as is what follows
    is_global_zero: bool

    def compare(
        self,
        model: MethodComparison,
        datamodule: BlockDataModule,
        output: str,
        methods: list[str] = [],  # noqa: B006 - never changed; the command line shows it
        suite: str = "quick",
        layers: list[str] = [],  # noqa: B006 - never changed
        limit: int | None = None,
        shard: str | tuple[int, int] | None = None,
        if_changed: IfChanged = "refuse",
        pictures: bool = True,
    ) -> Compared:
        """Explain the same images by several methods, score all of them, and draw one picture and one table.

        Each method has its own store below `output`, so the same call again continues where it stopped, and a method
        more costs its own maps only. A method that cannot explain the model is left out with a warning.

        Args:
            model: The model, and what is explained of it.
            datamodule: The images.
            output: Folder for stores, scores, table and pictures.
            methods: Methods by the names of their files in configs/method or of their classes, with arguments after a
                colon: coiba_fast grad_cam coiba:beta=10.
            suite: What is measured: quick, faithfulness, localisation, robustness, sanity, in_distribution or full, or
                a YAML file. Metrics given with the model take its place.
            layers: Compare at the same layers (ML-Att): each method that has a layer has a row for each of these names
                of modules, or middle and final; the others have one, at their own layer.
            limit: Number of images; evenly spaced over the dataset, unless its `limit_order` is ``first``.
            shard: Shard of the blocks, i/n, as in `explain`.
            if_changed: What to do if pictures, labels or weights have changed since: ``refuse`` or ``recompute``.
            pictures: Whether to draw images by methods, and the pictures of `benchmark`.

        Returns:
            Stores, table, picture, and the methods that were left out.

        Raises:
            InputError: No method can explain the model, or `output` was made with other arguments.
        """
        rows, metrics = methods_of(model, methods, layers), metrics_of(model, suite)
        folder = compare_place(output, datamodule)
        passed = {"limit": limit, "shard": shard, "if_changed": if_changed}
        return compare(self, model, datamodule, rows, metrics, folder, pictures, **passed)

    def benchmark(
        self,
        model: Scorer,
        datamodule: BlockDataModule,
        stores: list[str],
        output: str,
        limit: int | None = None,
        shard: str | tuple[int, int] | None = None,
        if_changed: IfChanged = "refuse",
        pictures: bool = True,
        suite: str | None = None,
    ) -> Leaderboard:
        """Score the explanations of several stores by the same metrics on the same samples, in one table.

        Gradient saliency and trivial baselines (random maps, edges of the picture, a Gaussian in its middle) are always
        in the table, and, if the data know where the object is, the oracle: the object's share of each cell. The scores
        of every explanation go into one store per method, below `output`, so the same call again scores what is
        missing. The table is written there as Markdown and CSV, beside the scores of every sample (Parquet), ranks,
        the agreement of the metrics, pictures, and runs for TensorBoard's page of hyperparameters.

        Args:
            model: The model that was explained, and the metrics.
            datamodule: The images that were explained.
            stores: Folders of the explanations; what all of them explain is scored.
            output: Folder for the scores and the table.
            limit: Number of images to score; evenly spaced over the dataset, unless its `limit_order` is ``first``.
            shard: Shard of the blocks to score, i/n, as in `explain`; the table covers what all shards have done so
                far.
            if_changed: What to do if pictures, boxes, masks, explanations or weights have changed since the scores in
                `output` were made: ``refuse``, naming one of them, or ``recompute`` what depends on them. Explanations
                of other pictures than those of now are always refused.
            pictures: Whether to draw means with intervals, agreement of metrics, critical differences, profiles of the
                methods and curves.
            suite: What is measured, in place of the model's metrics: quick, faithfulness, localisation, robustness,
                sanity, in_distribution or full, or a YAML file.

        Returns:
            The table.

        Raises:
            InputError: A store belongs to another model or other images, or the stores have no explanation in common.
        """
        folder, share = benchmark_place(output, stores, datamodule), Shard.of(shard)
        opened = open_stores(stores)
        if suite is not None:
            model = Scorer.of(model, load_suite(suite))
        with self._over(model, datamodule, Pass(limit=limit_of(datamodule, limit)), folder) as run:
            return benchmark(run, opened, folder, share, if_changed, pictures)

    def parts(
        self,
        model: PartEvaluator,
        datamodule: BlockDataModule,
        output: str,
        name: str | None = None,
        limit: int | None = None,
        shard: str | tuple[int, int] | None = None,
        if_changed: IfChanged = "refuse",
    ) -> PartTable:
        """Score a method by what the model does without parts of the object: the FunnyBirds protocol.

        Every image is rendered with each set of its parts, and without each thing in its background: with five parts
        that takes about 36 forwards, beside three or four maps. The scores of every image go into a store below
        `output`, so the same call again scores what is missing. The table is written there as Markdown and CSV; other
        methods of the same model on the same images, evaluated into the same folder, are further rows of it.

        Args:
            model: The model, the method and the settings of the protocol.
            datamodule: The images, whose parts can be removed: `SyntheticParts`, or a dataset with the same methods.
            output: Folder for the scores and the table.
            name: Name of the row, and of the folder of its scores; None = the name of the method's class.
            limit: Number of images to score; evenly spaced over the dataset, unless its `limit_order` is ``first``.
            shard: Shard of the blocks to score, i/n, as in `explain`; the table covers what all shards have done so
                far.
            if_changed: What to do if pictures, labels or weights have changed since the scores were made: ``refuse``,
                naming one of them, or ``recompute`` what depends on them.

        Returns:
            The table.

        Raises:
            InputError: The data have no parts that can be removed, or the folder has scores of other arguments.
        """
        row = type(model.method).__name__ if name is None else name
        folder, share = parts_place(output, row, datamodule), Shard.of(shard)
        with self._over(model, datamodule, Pass(limit=limit_of(datamodule, limit)), folder) as run:
            return evaluate_parts(run, folder, row, share, if_changed)

    def calibrate(
        self,
        model: Scorer,
        datamodule: BlockDataModule,
        output: str,
        suite: str = "quick",
        limit: int | None = None,
    ) -> dict[str, Verdict]:
        """Test the metrics themselves on a model and data: does the true map win, and does a random one lose?

        Each metric scores an oracle, three worse and worse versions of it, a random map and a constant one. The oracle
        is where the data say that the evidence is (boxes, masks, the parts of SyntheticParts); where they do not, it is
        the drops of single cells that the model itself shows. A stopped run continues with the same call.

        Args:
            model: The model; metrics given with it take the place of the suite.
            datamodule: The images.
            output: Folder for scores and verdicts.
            suite: Metrics to test; see `compare`.
            limit: Number of images; evenly spaced over the dataset, unless its `limit_order` is ``first``.

        Returns:
            metric -> verdict.
        """
        scorer = model if model.chosen else Scorer.of(model, load_suite(suite))
        folder = place_of(output, "output", datamodule, lambda found: is_marked(found, CALIBRATION))
        check_tables(folder)
        check_verdicts(folder)
        claim_folder(folder, "output", CALIBRATION, is_store)
        targets = Explainer(model.network, RandomMap())
        store = self.explain(targets, datamodule, str(folder / "explained"), limit, pictures=False)
        with self._over(scorer, datamodule, Pass(limit=limit_of(datamodule, limit)), folder) as run:
            return calibrate(run, store, folder, Shard.of(None))

    def _over(
        self, model: Module, datamodule: BlockDataModule, through: Pass, folder: Path | None = None
    ) -> AbstractContextManager[BlockRun[Module]]:
        """A run of a module over the blocks of `through`, whose results go to `folder`."""
        trainer: Any = self
        return block_run(trainer, model, datamodule, through, self._logger_given, folder)


def limit_of(datamodule: BlockDataModule, limit: int | None = None) -> int | None:
    """Number of images that a run is about: what the call says, or else the data; `block_run` checks what they are."""
    return getattr(datamodule, "limit", None) if limit is None else limit
