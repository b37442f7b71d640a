"""The Trainer: Lightning's, with the verbs that explain datasets."""

from __future__ import annotations

import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from lit_coiba.attribution import HeadAttribution
from lit_coiba.benchmark import (
    DatasetRegions,
    Leaderboard,
    RegionSource,
    StoreSource,
    common_keys,
    finest_grid,
    names_of,
    reference_row,
    references,
)
from lit_coiba.bottlenecks import ActivationStatistics, BottleneckMethod
from lit_coiba.bottlenecks.leak import SAMPLE
from lit_coiba.callbacks import BlockProgress, RunLog
from lit_coiba.core.errors import InputError
from lit_coiba.data.module import BlockDataModule
from lit_coiba.data.shard import Shard
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.scorer import Scorer, Source
from lit_coiba.pictures.contact_sheet import contact_sheet
from lit_coiba.pictures.decision import draw_decisions
from lit_coiba.prototypes import Prototypes
from lit_coiba.store import ExplanationStore, Manifest
from lit_coiba.store.manifest import FILE_NAME
from lit_coiba.store.store import STATISTICS
from lit_coiba.store.writer import StoreWriter
from lit_coiba.trainer.identity import (
    check_place,
    check_store,
    has_statistics,
    identity_of,
    provenance,
    same_classes,
    scores_identity,
)
from lit_coiba.trainer.prototype_trainer import PrototypeTrainer
from lit_coiba.trainer.statistics_trainer import ENOUGH_IMAGES, StatisticsTrainer, remove_parts


class Trainer(StatisticsTrainer, PrototypeTrainer):
    """Lightning's Trainer with more verbs: `statistics`, `explain`, `benchmark` and `prototypes`.

    All leave the model, the data module and the global random state as they were, also when they raise, and write
    nothing to the logger that Lightning makes where none is given. Several processes share the blocks of a run. When it
    is asked to terminate (SIGTERM), a run finishes the block in hand and ends with status 143; the same call goes on.

    Args:
        precision: Lightning's, or ``auto``: bf16-mixed where the machine has bf16 in hardware, 32-true elsewhere.
    """

    def explain(
        self,
        model: Explainer,
        datamodule: BlockDataModule,
        store: str,
        limit: int | None = None,
        retry_failed: bool = False,
        shard: str | tuple[int, int] | None = None,
    ) -> ExplanationStore:
        """Explain a dataset into a store. The same call again does what is missing, and nothing twice.

        Statistics that the method needs and was not given are estimated first, over all images, and kept in the store.
        At the end a contact sheet of some images is drawn beside the blocks, and decisions where `HeadAttribution` has
        prototypes; when no block is missing, they are put into few files.

        Jobs that do not talk to one another share a run by `shard`. In one folder they share statistics too; where each
        has its own, as `lit-coiba merge` joins, give all of them the file of one `statistics`: those of two kinds of
        machine may differ in the last bit, and then the stores are of different runs.

        Args:
            model: Model, method and targets.
            datamodule: The images.
            store: Folder of the store; created, or resumed where it was made with the same arguments.
            limit: Explain only this many images; evenly spaced over the dataset, unless its `limit_order` is ``first``.
            retry_failed: Do the blocks again in which an image failed: when files have been mended.
            shard: Do a share of the blocks only, i/n: those whose number leaves i when it is divided by n, for i from 0
                to n - 1.

        Returns:
            The store, complete but for other shards and for what Lightning's `limit_predict_batches` left out.

        Raises:
            InputError: The folder holds a store that was made with other arguments, or these cannot be explained.
        """
        folder, share = Path(store), Shard.of(shard)
        with self._explaining(model, datamodule, datamodule.limit if limit is None else limit):
            identity = identity_of(model, datamodule, str(self.precision))
            check_store(folder, identity)
            statistics = self._prepare(model, datamodule, folder, identity, share)
            identity = {**identity, "statistics": statistics.digest() if statistics else None}
            recorded = provenance(datamodule, type(self.accelerator).__name__, self.num_devices)
            opened = ExplanationStore.open(folder, Manifest(identity, recorded))
            blocks = self._on_rank_zero(partial(_share_of, share, opened, datamodule, retry_failed))
            named = same_classes(model, datamodule)
            log = RunLog(opened, datamodule.explained, datamodule.transform, datamodule.total_blocks, named=named)
            if blocks:
                self._over_blocks(model, datamodule, blocks, BlockProgress(), StoreWriter(opened), log)
            self._on_rank_zero(log.close)

            def draw() -> None:
                sheet = folder / "contact_sheet.png"
                if blocks or not sheet.exists():
                    pictured = datamodule.explained, datamodule.transform.preprocessing
                    if isinstance(model.method, HeadAttribution) and model.method.prototypes is not None:
                        known = Prototypes(model.method.prototypes)
                        draw_decisions(opened, *pictured, known, folder / "decisions", named)
                    contact_sheet(opened, *pictured, sheet, named=named)  # the last: where it is, all is drawn

            self._on_rank_zero(draw)
            if self.is_global_zero and not opened.missing(datamodule.total_blocks, verify=False):
                _tidy(opened, bar=self.progress_bar_callback is not None)
        return ExplanationStore(folder)

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
            limit: Score only this many images; evenly spaced over the dataset, unless its `limit_order` is ``first``.
            shard: Do a share of the blocks only, i/n, as in `explain`; the table is of what all of them have done.

        Returns:
            The table.

        Raises:
            InputError: A store is of another model, or has other images; or nothing is common to all.
        """
        opened = {name: ExplanationStore(path) for name, path in names_of(stores).items()}
        check_place(Path(output), "output")
        if (Path(output) / FILE_NAME).exists():
            raise InputError(f"output {output} is a store itself: give another folder for the table")
        share, scored = Shard.of(shard), dict[str, ExplanationStore]()
        with self._explaining(model, datamodule, datamodule.limit if limit is None else limit):
            keys = common_keys(list(opened.values()), datamodule.explained.ids)
            regions = DatasetRegions(datamodule.explained, datamodule.transform)
            grid = finest_grid(list(opened.values()))
            oracle = RegionSource(regions, keys, grid) if regions.known else None
            sources: dict[str, Source] = {name: StoreSource(store, keys) for name, store in opened.items()}
            sources |= references(keys, opened, oracle)
            model.check_metrics(regions)
            recorded = provenance(datamodule, type(self.accelerator).__name__, self.num_devices)
            for name, source in sources.items():
                identity = scores_identity(
                    model, datamodule, str(self.precision), source.identity, opened.get(name), keys
                )
                scored[name] = ExplanationStore.open(Path(output) / name, Manifest(identity, recorded))
                store, model.source, model.regions = scored[name], source, regions
                blocks = self._on_rank_zero(partial(_share_of, share, store, datamodule))
                if blocks:
                    self._over_blocks(model, datamodule, blocks, BlockProgress(f"Scoring {name}"), StoreWriter(store))
            higher = {name: metric.higher_is_better for name, metric in model.metrics.items()}
            asked = sum(map(len, keys.values()))
            board = self._on_rank_zero(lambda: Leaderboard.of(scored, higher, reference_row(opened), asked))
            if self.is_global_zero:
                board.save(Path(output))
        return board

    def _prepare(
        self, model: Explainer, datamodule: BlockDataModule, folder: Path, identity: dict[str, Any], shard: Shard
    ) -> ActivationStatistics | None:
        """Give the method what it needs to know about the data, all of it; the statistics it uses, if it uses any."""
        method, network = model.method, model.network
        kept = folder / STATISTICS
        with self._all_images(model, datamodule):
            if not isinstance(method, BottleneckMethod):
                method.prepare(network, datamodule.sample(ENOUGH_IMAGES))
                return None
            given = method.arguments().get("statistics")

            def made() -> bool:
                return has_statistics(folder, identity)

            if self.strategy.broadcast(not given and not made()):
                return self._estimated(model, datamodule, kept, ENOUGH_IMAGES, shard, made)
            statistics = ActivationStatistics.load(given or kept)
            if statistics.leak is None:
                network.to(self.strategy.root_device)
            return method.set_statistics(network, statistics, datamodule.sample(SAMPLE))


def _share_of(
    shard: Shard, store: ExplanationStore, datamodule: BlockDataModule, retry_failed: bool = False
) -> list[int]:
    """Numbers of this shard's blocks that are missing, and where asked for of those with a failure."""
    blocks = set(store.missing(datamodule.total_blocks))
    if retry_failed:
        failed = {failure.id for failure in store.failures()}
        blocks |= {i // datamodule.batch_size for i, name in enumerate(datamodule.explained.ids) if name in failed}
    return shard.share(sorted(blocks))


def _tidy(store: ExplanationStore, bar: bool) -> None:
    """Put the blocks of a finished run into few files. Where that fails the run has not: everything is there.

    It is the last thing of a run: minutes for a large store, and no other process waits for it.
    """
    remove_parts(store.path / STATISTICS)
    try:
        store.compact(bar and sys.stderr.isatty())
    except InputError as error:
        warnings.warn(str(error), stacklevel=2)
