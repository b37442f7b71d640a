"""What `Trainer.explain` does: explanations of a dataset in a store, pictures and logs beside them."""

from __future__ import annotations

import warnings
from pathlib import Path

from lightning import Callback

from lit_coiba.backbones.random_weights import has_random_weights
from lit_coiba.callbacks import BlockProgress, ContactSheet, Decisions, RunLog
from lit_coiba.callbacks.run_log import PANELS
from lit_coiba.callbacks.store_callback import Explained, StoreCallback
from lit_coiba.core.errors import InputError
from lit_coiba.data.shard import Shard
from lit_coiba.modules.explainer import Explainer
from lit_coiba.pictures.about import About
from lit_coiba.store import ExplanationStore, Manifest
from lit_coiba.store.store import STATISTICS
from lit_coiba.store.writer import StoreWriter
from lit_coiba.trainer.block_run import BlockRun
from lit_coiba.trainer.identity import explanations_identity
from lit_coiba.trainer.places import check_store
from lit_coiba.trainer.provenance import provenance
from lit_coiba.trainer.statistics import prepare_method, remove_parts


def explain(
    run: BlockRun[Explainer], folder: Path, shard: Shard, retry_failed: bool = False, pictures: bool = True
) -> ExplanationStore:
    """Explain the images of a run into a store.

    Args:
        run: The run.
        folder: Folder of the store.
        shard: Share of the blocks that is done.
        retry_failed: Whether blocks with a failure are done again.
        pictures: Whether the usual pictures are drawn.
    """
    identity = explanations_identity(run)
    check_store(folder, identity)
    statistics = prepare_method(run, folder, identity, shard)
    identity = {**identity, "statistics": statistics.digest() if statistics else None}
    store = ExplanationStore.open(folder, Manifest(identity, provenance(run)))
    blocks = run.on_rank_zero(lambda: blocks_to_do(run, store, shard, retry_failed))
    about = _about(run)
    transform, total = run.datamodule.transform, run.datamodule.total_blocks
    log = RunLog(store, run.images, transform, total, PANELS if pictures else 0, about.names)
    callbacks = [log, *(_usual_pictures(run) if pictures else ())]
    if blocks:
        run.over_blocks(run.model, blocks, BlockProgress(), StoreWriter(store), *callbacks)
    explained = Explained(store, run.images, transform, run.model.method, about, bool(blocks))
    run.on_rank_zero(lambda: _finish([*run.trainer.callbacks, *callbacks], explained))
    if run.trainer.is_global_zero and not store.missing(total, verify=False):
        _compact(store, run.shows_progress)
    return ExplanationStore(folder)


def blocks_to_do(
    run: BlockRun[Explainer], store: ExplanationStore, shard: Shard, retry_failed: bool = False
) -> list[int]:
    """Numbers of this shard's blocks that are missing, and where asked for of those with a failure."""
    blocks = set(store.missing(run.datamodule.total_blocks))
    if retry_failed:
        failed = {failure.id for failure in store.failures()}
        size = run.datamodule.batch_size
        blocks |= {i // size for i, name in enumerate(run.images.ids) if name in failed}
    return shard.share(sorted(blocks))


def _about(run: BlockRun[Explainer]) -> About:
    """What pictures say of the model and its classes; warns where nobody knows their names but the data have some."""
    network = run.model.network
    about = About.of(network, run.images, run.model.method, has_random_weights(network))
    if not run.model.knows_classes(run.images) and not about.names.classes:
        warnings.warn(
            f"the data have {len(run.images.classes)} classes and the model has {run.model.network.num_classes}: the "
            "class folders do not name the model's classes, so pictures show numbers; give the model's class names, "
            "in the model's order, as data.classes",
            stacklevel=2,
        )
    return about


def _usual_pictures(run: BlockRun[Explainer]) -> list[StoreCallback]:
    """The pictures that are drawn by default, except those that the user has given to the Trainer."""
    usual = (Decisions(), ContactSheet())
    return [one for one in usual if not any(isinstance(given, type(one)) for given in run.trainer.callbacks)]


def _finish(callbacks: list[Callback], explained: Explained) -> None:
    """Tell callbacks about the store that all blocks of this run are on disk."""
    for callback in callbacks:
        if isinstance(callback, StoreCallback):
            callback.on_explain_end(explained)


def _compact(store: ExplanationStore, show_progress: bool) -> None:
    """Put the blocks of a finished run into few files. Where that fails the run has not: everything is there.

    It is the last thing of a run: minutes for a large store, and no other process waits for it.
    """
    remove_parts(store.path / STATISTICS)
    try:
        store.compact(show_progress)
    except InputError as error:
        warnings.warn(str(error), stacklevel=2)
