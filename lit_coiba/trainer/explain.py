"""What `Trainer.explain` does: explanations of a dataset in a store, pictures and logs beside them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from lightning import Callback

from lit_coiba.backbones.random_weights import has_random_weights
from lit_coiba.bottlenecks import BottleneckMethod
from lit_coiba.callbacks import BlockProgress, ContactSheet, Decisions, RunLog
from lit_coiba.callbacks.run_log import PANELS
from lit_coiba.callbacks.store_callback import Explained, StoreCallback
from lit_coiba.core.class_identity import is_ours
from lit_coiba.core.errors import InputError, warn
from lit_coiba.data.fingerprint import Fingerprint
from lit_coiba.data.shard import Shard
from lit_coiba.modules.explainer import Explainer
from lit_coiba.pictures.about import About
from lit_coiba.store import ExplanationStore, Manifest
from lit_coiba.store.folder import STATISTICS
from lit_coiba.store.manifest import FILE_NAME
from lit_coiba.store.samples import write_samples
from lit_coiba.store.writer import StoreWriter
from lit_coiba.trainer.block_run import BlockRun
from lit_coiba.trainer.certified import certified_identity
from lit_coiba.trainer.changes import (
    IfChanged,
    blocks_to_do,
    refresh_labels,
    renew_inputs,
    renew_samples,
    renew_statistics,
)
from lit_coiba.trainer.costs import explaining
from lit_coiba.trainer.identity import explanations_identity
from lit_coiba.trainer.places import check_place
from lit_coiba.trainer.provenance import provenance
from lit_coiba.trainer.statistics import prepare_method, remove_parts


def explain(
    run: BlockRun[Explainer],
    folder: Path,
    shard: Shard,
    retry_failed: bool = False,
    pictures: bool = True,
    if_changed: IfChanged = "refuse",
) -> ExplanationStore:
    """Explain the images of a run into a store.

    Args:
        run: The run.
        folder: Folder of the store.
        shard: Share of the blocks that is done.
        retry_failed: Whether blocks with a failure are done again.
        pictures: Whether the usual pictures are drawn.
        if_changed: What is done where the data or the model have changed since the store was made.
    """
    check_place(folder, "store")
    certified = certified_identity(run, folder)
    now = run.fingerprint()
    store, changed = open_store(run, folder, {**explanations_identity(run), **certified}, shard, if_changed)
    blocks = run.on_rank_zero(lambda: blocks_to_do(run, store, shard, retry_failed, _by_label(run)))
    about = _about(run)
    transform, total = run.datamodule.transform, run.datamodule.total_blocks
    log = RunLog(store, run.images, transform, total, PANELS if pictures else 0, about.names)
    callbacks = [log, *(_usual_pictures(run) if pictures else ())]
    if blocks:
        progress = BlockProgress(plan=explaining(run, blocks))
        run.over_blocks(run.model, blocks, progress, StoreWriter(store, now), *callbacks)
    explained = Explained(store, run.images, transform, run.model.method, about, changed or bool(blocks))
    run.on_rank_zero(lambda: _finish([*run.trainer.callbacks, *callbacks], explained))
    if run.trainer.is_global_zero and not store.missing(total, verify=False):
        _compact(store, run.shows_progress)
    return ExplanationStore(folder)


def open_store(
    run: BlockRun[Explainer], folder: Path, identity: dict[str, Any], shard: Shard, if_changed: IfChanged
) -> tuple[ExplanationStore, bool]:
    """The store of a run, whose method is ready, and whether labels or names of classes are others than in it.

    Args:
        run: The run.
        folder: Folder of the store.
        identity: What decides its results, but for the digest of the statistics.
        shard: Share of the blocks that is done.
        if_changed: What is done where the data or the model have changed since the store was made.
    """
    now, everything = run.fingerprint(), _seen_by_statistics(run)
    run.on_rank_zero(lambda: renew_inputs(folder, _as_kept(folder, identity), everything or now, if_changed))
    if everything is not None:
        run.on_rank_zero(lambda: renew_statistics(folder, everything, if_changed))
    statistics = prepare_method(run, folder, identity, shard)
    manifest = Manifest({**identity, "statistics": statistics.digest() if statistics else None}, provenance(run))
    run.on_rank_zero(lambda: renew_inputs(folder, manifest, everything or now, if_changed))
    store = ExplanationStore.open(folder, manifest)
    return store, run.on_rank_zero(lambda: _bring_up_to_date(run, store, now, everything, if_changed))


def _as_kept(folder: Path, identity: dict[str, Any]) -> Manifest:
    """The manifest of this run with the statistics of the store that is there: they are looked at later."""
    if not (folder / FILE_NAME).exists():
        return Manifest(identity)
    return Manifest({**identity, "statistics": ExplanationStore(folder).manifest.identity.get("statistics")})


def _seen_by_statistics(run: BlockRun[Explainer]) -> Fingerprint | None:
    """All images of the split, where statistics of them decide what each is explained by; None otherwise."""
    method = run.model.method
    if not isinstance(method, BottleneckMethod) or method.arguments().get("statistics"):
        return None
    with run.all_images():
        return run.fingerprint()


def _by_label(run: BlockRun[Explainer]) -> bool:
    """Whether labels decide what is explained; a user's own target may do what it likes with them."""
    return run.model.target.uses_labels or not is_ours(type(run.model.target))


def _bring_up_to_date(
    run: BlockRun[Explainer],
    store: ExplanationStore,
    now: Fingerprint,
    everything: Fingerprint | None,
    if_changed: IfChanged,
) -> bool:
    """See to it that each row is of the sample and the label of now; whether labels or names of classes are others."""
    kept = renew_samples(store, run.images, now, _by_label(run), if_changed)
    changed = refresh_labels(store, now)
    write_samples(store.path, everything or now, kept)
    return changed


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
        warn(error)
