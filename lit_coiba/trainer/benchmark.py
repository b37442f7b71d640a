"""What `Trainer.benchmark` does: scores of stores and of references, into one table."""

from __future__ import annotations

from pathlib import Path

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
from lit_coiba.callbacks import BlockProgress
from lit_coiba.core.errors import InputError
from lit_coiba.data.shard import Shard
from lit_coiba.modules.scorer import Scorer, Source
from lit_coiba.store import ExplanationStore, Manifest
from lit_coiba.store.manifest import FILE_NAME
from lit_coiba.store.writer import StoreWriter
from lit_coiba.trainer.block_run import BlockRun
from lit_coiba.trainer.identity import scores_identity
from lit_coiba.trainer.places import check_place
from lit_coiba.trainer.provenance import provenance


def open_stores(stores: list[str], output: Path) -> dict[str, ExplanationStore]:
    """The stores to score, by the names of their rows.

    Raises:
        InputError: One of them is no store, or the output cannot be written or is a store itself.
    """
    opened = {name: ExplanationStore(path) for name, path in names_of(stores).items()}
    check_place(output, "output")
    if (output / FILE_NAME).exists():
        raise InputError(f"output {output} is itself one of the stores: give another folder for the table")
    return opened


def benchmark(run: BlockRun[Scorer], stores: dict[str, ExplanationStore], output: Path, shard: Shard) -> Leaderboard:
    """Score the explanations in stores on the images of a run, and the references beside them.

    Args:
        run: The run.
        stores: Name of the row -> explanations.
        output: Folder for the scores and the table.
        shard: Share of the blocks that is done.
    """
    model, opened = run.model, list(stores.values())
    keys = common_keys(opened, run.images.ids)
    model.regions = regions = DatasetRegions(run.images, run.datamodule.transform)
    oracle = RegionSource(regions, keys, finest_grid(opened)) if regions.known else None
    sources: dict[str, Source] = {name: StoreSource(store, keys) for name, store in stores.items()}
    sources |= references(keys, stores, oracle)
    model.check_metrics(regions)
    scored = {
        name: _score(run, name, source, stores.get(name), keys, output / name, shard)
        for name, source in sources.items()
    }
    higher = {name: metric.higher_is_better for name, metric in model.metrics.items()}
    asked = sum(map(len, keys.values()))
    board = run.on_rank_zero(lambda: Leaderboard.of(scored, higher, reference_row(stores), asked))
    if run.trainer.is_global_zero:
        board.save(output)
    return board


def _score(
    run: BlockRun[Scorer],
    name: str,
    source: Source,
    store: ExplanationStore | None,
    keys: dict[str, list[int]],
    folder: Path,
    shard: Shard,
) -> ExplanationStore:
    """Scores of one row of the table."""
    identity = scores_identity(run, source.identity, store, keys)
    scores = ExplanationStore.open(folder, Manifest(identity, provenance(run)))
    run.model.source = source
    blocks = run.on_rank_zero(lambda: shard.share(scores.missing(run.datamodule.total_blocks)))
    if blocks:
        run.over_blocks(run.model, blocks, BlockProgress(f"Scoring {name}"), StoreWriter(scores))
    return scores
