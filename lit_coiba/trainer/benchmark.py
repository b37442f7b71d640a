"""What `Trainer.benchmark` does: scores of stores and of references, into one table."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from lit_coiba.benchmark import (
    DatasetRegions,
    Leaderboard,
    RegionSource,
    StatisticsImages,
    StoreSource,
    common_keys,
    finest_grid,
    names_of,
    no_explanations,
    reference_row,
    references,
)
from lit_coiba.benchmark.calibration import RANDOM, Verdict, calibration_sources, save_verdicts, verdicts
from lit_coiba.benchmark.saving import EVENTS, TABLES, check_tables, log_runs
from lit_coiba.callbacks import BlockProgress
from lit_coiba.core.class_identity import class_identity
from lit_coiba.core.errors import InputError
from lit_coiba.core.targets.strings import explains_labels
from lit_coiba.data.fingerprint import Fingerprint
from lit_coiba.data.module import BlockDataModule
from lit_coiba.data.shard import Shard
from lit_coiba.files.given_path import given_path
from lit_coiba.files.owned import claim_folder, is_foreign, is_marked
from lit_coiba.metrics.batch import taken_baselines
from lit_coiba.modules.scorer import Keys, Scorer, Source
from lit_coiba.store import ExplanationStore, Manifest
from lit_coiba.store.folder import is_store
from lit_coiba.store.manifest import FILE_NAME
from lit_coiba.store.samples import write_samples
from lit_coiba.store.writer import StoresWriter
from lit_coiba.trainer.block_run import BlockRun
from lit_coiba.trainer.changes import (
    RECOMPUTE,
    IfChanged,
    blocks_to_do,
    changed_samples,
    refresh_labels,
    renew_inputs,
    renew_samples,
    told_changes,
    warn_of_old,
)
from lit_coiba.trainer.costs import scoring
from lit_coiba.trainer.identity import check_explains, data_identity, scores_identity
from lit_coiba.trainer.places import place_of
from lit_coiba.trainer.provenance import provenance

VERB = "benchmark"


def open_stores(stores: list[str]) -> dict[str, ExplanationStore]:
    """The stores to score, by the names of their rows.

    Raises:
        InputError: One of them is no store.
    """
    return {name: ExplanationStore(given_path(path, "stores")) for name, path in names_of(stores).items()}


def benchmark_place(output: str | os.PathLike[str], stores: list[str], data: BlockDataModule) -> Path:
    """The folder for scores and table.

    Raises:
        InputError: It cannot be written, is not the verb's own, or is a store itself.
    """
    if (given_path(output, "output") / FILE_NAME).exists():
        raise InputError(f"output {output} is itself one of the stores: give another folder for the table")
    folder = place_of(output, "output", data, lambda found: is_marked(found, VERB), _known)
    for name in names_of(stores):
        if name in TABLES or name == EVENTS:
            raise InputError(f"stores: the row {name} would have the name of the table: rename the store's folder")
    check_tables(folder)
    return folder


def _known(entry: Path) -> bool:
    """Whether an entry of a folder without marker is one of a table, as an older version wrote it."""
    return is_store(entry) or (entry.name in TABLES and not is_foreign(entry, TABLES[entry.name]))


def benchmark(
    run: BlockRun[Scorer],
    stores: dict[str, ExplanationStore],
    output: Path,
    shard: Shard,
    if_changed: IfChanged = "refuse",
    pictures: bool = True,
) -> Leaderboard:
    """Score the explanations in stores on the images of a run, and the references beside them.

    Args:
        run: The run.
        stores: Name of the row -> explanations.
        output: Folder for the scores and the table.
        shard: Share of the blocks that is done.
        if_changed: What is done with scores of other data.
        pictures: Whether pictures are drawn.
    """
    model, opened = run.model, list(stores.values())
    now = run.fingerprint()
    run.on_rank_zero(lambda: check_explained(run, opened, now))
    keys = common_keys(opened, run.images.ids)
    model.regions = regions = DatasetRegions(run.images, run.datamodule.transform)
    oracle = RegionSource(regions, keys, finest_grid(opened)) if regions.known else None
    images = StatisticsImages(run.images, run.datamodule.transform)
    sources: dict[str, Source] = {name: StoreSource(store, keys, images) for name, store in stores.items()}
    sources |= references(keys, stores, oracle)
    model.check_metrics(regions)
    if any("regions" in metric.needs for metric in model.metrics.values()) or oracle is not None:
        now = run.on_rank_zero(lambda: now.with_regions(run.images))
    if any("importances" in metric.needs for metric in model.metrics.values()):
        now = run.on_rank_zero(lambda: now.with_importance(run.images))
    run.on_rank_zero(lambda: claim_folder(output, "output", VERB, _known))
    asked = sum(map(len, keys.values()))
    scored = _score(run, sources, output, keys, now, shard, if_changed)
    higher = {name: metric.higher_is_better for name, metric in model.metrics.items()}
    left_out, settings = no_explanations(stores), {name: source.settings for name, source in sources.items()}
    taken, first = taken_baselines(model.metrics, model.network), reference_row(stores)
    board = run.on_rank_zero(lambda: Leaderboard.of(scored, higher, first, asked, left_out, settings, taken))
    if run.trainer.is_global_zero:
        board.save(output)
        log_runs(board, output)
        if pictures:
            board.draw(output)
    return board


def calibrate(run: BlockRun[Scorer], store: ExplanationStore, output: Path, shard: Shard) -> dict[str, Verdict]:
    """Score maps of which it is known how good they are, and say which metrics agree.

    Args:
        run: The run.
        store: Explanations of what is scored, whatever they are.
        output: Folder for the scores and the verdicts.
        shard: Share of the blocks that is done.
    """
    model, now = run.model, run.fingerprint()
    keys = common_keys([store], run.images.ids)
    model.regions = regions = DatasetRegions(run.images, run.datamodule.transform)
    model.check_metrics(regions)
    now = run.on_rank_zero(lambda: now.with_regions(run.images))
    sources = calibration_sources(keys, regions, run.model.preprocessing.size)
    scored = _score(run, sources, output, keys, now, shard, "refuse")
    higher = {name: metric.higher_is_better for name, metric in model.metrics.items()}
    left_out, taken = frozenset(sources), taken_baselines(model.metrics, model.network)
    board = run.on_rank_zero(lambda: Leaderboard.of(scored, higher, RANDOM, None, left_out, baselines=taken))
    found = verdicts(board)
    if run.trainer.is_global_zero:
        board.save(output)
        classes = {name: class_identity(type(metric)) for name, metric in model.metrics.items()}
        save_verdicts(found, classes, output)
    return found


def check_explained(run: BlockRun[Scorer], stores: list[ExplanationStore], now: Fingerprint) -> None:
    """Refuse stores whose explanations are of another model, other images or other labels than those of a run.

    Raises:
        InputError: Naming one of them, or what differs in the data.
    """
    remedy = f"explain them again, {RECOMPUTE}"
    data = Manifest({"data": data_identity(run)})
    for store in stores:
        check_explains(run, store)  # before anything is scored, and before their samples are compared
    for store in stores:
        made = store.manifest.identity
        if "data" not in made:
            warn_of_old(store.path)
        elif not all(now.versions) and (told := Manifest({"data": made["data"]}).told(data)):  # files tell more
            raise InputError(f"stores: {store.path} explains other data than those given here ({told}): {remedy}")
        changed = changed_samples(store, run.images, now, explains_labels(made.get("targets"))).changed
        if changed:
            raise InputError(f"stores: {store.path}: {told_changes(changed)}; {remedy}")


def _score(
    run: BlockRun[Scorer],
    sources: dict[str, Source],
    output: Path,
    keys: Keys,
    now: Fingerprint,
    shard: Shard,
    if_changed: IfChanged,
) -> dict[str, ExplanationStore]:
    """Scores of all rows of the table, in one pass over the blocks that some row lacks."""
    model, scored = run.model, dict[str, ExplanationStore]()
    for name, source in sources.items():
        folder, manifest = output / name, Manifest(scores_identity(run, source.identity, keys), provenance(run))
        run.on_rank_zero(partial(renew_inputs, folder, manifest, now, if_changed))
        scored[name] = ExplanationStore.open(folder, manifest)

    def to_do(scores: ExplanationStore) -> list[int]:
        kept = renew_samples(scores, run.images, now, False, if_changed)
        refresh_labels(scores, now)
        write_samples(scores.path, now, kept)
        return blocks_to_do(run, scores, shard)

    lacking = run.on_rank_zero(lambda: {name: to_do(scores) for name, scores in scored.items()})
    model.sources, model.lacking = sources, {name: frozenset(blocks) for name, blocks in lacking.items()}
    if blocks := sorted(set().union(*lacking.values())):
        plan = scoring(run, list(sources), sum(map(len, keys.values())))
        run.over_blocks(model, blocks, BlockProgress("Scoring", plan), StoresWriter(scored, now))
    return scored
