"""What has changed since the results in a folder were made: refused with its name, or made again where that is asked.

Results have a manifest, whose identity decides all of them, and rows, each of which knows the version of its sample. An
identity may differ in what goes in, such as the model or the data; or in how the run was set up, which needs another
folder.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from lit_coiba.core.errors import InputError, warn
from lit_coiba.core.printable import printable
from lit_coiba.core.targets.class_target import NO_LABEL, OUTSIDE
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.fingerprint import Fingerprint, difference, same_version
from lit_coiba.data.shard import Shard
from lit_coiba.files.atomic import remove_leftovers
from lit_coiba.store import ExplanationStore, Manifest
from lit_coiba.store.folder import STATISTICS
from lit_coiba.store.manifest import FILE_NAME
from lit_coiba.store.revision import STALE, forget, relabel
from lit_coiba.store.samples import read_samples, write_samples
from lit_coiba.trainer.block_run import BlockRun

IfChanged = Literal["refuse", "recompute"]

# First words of what goes into results; what else an identity has are settings of the run.
INPUTS = {"model", "data", "ids", "samples", "files", "target class", "class names"}
INPUTS |= {"statistics", "explanations", "scores of", "certified"}

RECOMPUTE = "--if_changed recompute"
_REMEDY = f"choose another folder, or do again what depends on it: {RECOMPUTE}"
_ID = 80  # characters of an id in a message


def claim_results(
    folder: Path, manifest: Manifest, now: Fingerprint, if_changed: IfChanged, forget: Callable[[Path], None]
) -> None:
    """Write what decides the results in an output folder, or refuse one where that is something else.

    Args:
        folder: The folder; made where there is none.
        manifest: What decides the results of now.
        now: The samples.
        if_changed: What to do with results of other inputs.
        forget: Removes the results in the folder.

    Raises:
        InputError: It has results of other inputs or of other settings; the message says what differs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    with suppress(FileExistsError):
        manifest.save(folder, exclusive=True)
    there = Manifest.load(folder)
    if names := there.differing(manifest):
        settings = [name for name in names if name.partition(".")[0] not in INPUTS]
        if settings or if_changed == "refuse":
            told, before = there.told(manifest), read_samples(folder)
            if not settings and before is not None:
                told = other_images(before, now) or told
            again = "" if settings else f", or do it again: {RECOMPUTE}"
            raise InputError(
                f"output {folder} was made with other arguments (old -> new): {told}; choose another folder, or repeat "
                f"the original arguments{again}"
            )
        forget(folder)
        manifest.save(folder)
    elif "files" not in there.identity:
        warn_of_old(folder)
        return
    write_samples(folder, now)


def renew_inputs(folder: Path, manifest: Manifest, now: Fingerprint, if_changed: IfChanged) -> None:
    """Refuse a store that was made from other inputs, or where that is asked take its results out.

    Args:
        folder: Folder of the store, if there is one.
        manifest: What a store of now would be made with.
        now: The samples.
        if_changed: What to do.

    Raises:
        InputError: It has results of other inputs or of other settings; the message says what differs.
    """
    if not (folder / FILE_NAME).exists():
        return
    store = ExplanationStore(folder)
    names = store.manifest.differing(manifest)
    if not names or not store.parts():
        return
    settings = [name for name in names if name.partition(".")[0] not in INPUTS]
    if not settings and if_changed == "recompute":
        store.clear()
        return
    told = store.manifest.told(manifest)
    if {"ids", "samples"} & set(names) and (images := images_that_came_or_went(read_samples(folder), now)):
        told += f" ({images})"
    again = "" if settings else f"; to do again what depends on it: {RECOMPUTE}"
    raise InputError(
        f"store {folder} was made with other arguments (old -> new): {told}; choose another folder, or repeat the "
        f"original arguments{again}"
    )


def renew_statistics(folder: Path, now: Fingerprint, if_changed: IfChanged) -> None:
    """Refuse statistics in a store that were estimated from other images, or where that is asked begin anew.

    Args:
        folder: Folder of the store, if there is one.
        now: All images that statistics would be estimated from.
        if_changed: What to do.

    Raises:
        InputError: They were; the message names an image, and says what of it.
    """
    before = read_samples(folder)
    if before is None or not (folder / STATISTICS).exists():
        return
    store = ExplanationStore(folder)
    told = other_images(before, now, {failure.id for failure in store.failures()})
    if told and if_changed == "recompute":
        store.clear()
    elif told:
        raise InputError(f"store {folder} has statistics of other images: {told}; {_REMEDY}")


def renew_samples(
    store: ExplanationStore, images: ImageDataset, now: Fingerprint, by_label: bool, if_changed: IfChanged
) -> dict[str, str]:
    """Refuse a store in which samples are not what they were, or where that is asked take their results out.

    Args:
        store: The store, of the same inputs but for its samples.
        images: The images of now.
        now: Their fingerprint.
        by_label: Whether results depend on labels too.
        if_changed: What to do.

    Returns:
        Version of each sample whose result stays although its file is another one now, which cannot be read.

    Raises:
        InputError: A sample has changed; the message names it, and says what of it.
    """
    changed, kept, known = changed_samples(store, images, now, by_label, all_of_them=if_changed != "refuse")
    if not known:
        warn_of_old(store.path)
    if kept:
        warn(
            f"{printable(next(iter(kept)), _ID)} cannot be read now ({len(kept):,} of the files in {store.path}): what "
            "was made of it before is kept",
            stacklevel=2,
        )
    if changed and if_changed == "refuse":
        raise InputError(f"store {store.path}: {told_changes(changed)}; {_REMEDY}")
    if changed:
        forget(store, changed)
    return kept


class Changed(NamedTuple):
    """Samples of a store that are not what they were."""

    changed: dict[str, str]  # id -> what of it, as a clause
    kept: dict[str, str]  # id -> version then, of those whose files are others now and cannot be read
    known: bool  # whether all rows know the versions of their samples


def changed_samples(
    store: ExplanationStore, images: ImageDataset, now: Fingerprint, by_label: bool, all_of_them: bool = False
) -> Changed:
    """Which samples of a store are not what they were.

    Args:
        store: The store.
        images: The images of now.
        now: Their fingerprint.
        by_label: Whether the label of a sample counts too.
        all_of_them: Whether to see of each file that has changed whether it can be read, and not until the first can.
    """
    places = {name: index for index, name in enumerate(now.ids)}
    before = read_samples(store.path)
    changed: dict[str, str] = {}  # id -> what of it
    others: dict[str, str] = {}  # id -> version then, of those whose files are others
    known, unknown = True, cast(tuple[str | None, ...], (None,))
    for _, part in store.parts():
        known &= part.versions is not None
        for (name, _), label, version in zip(part.keys, part.labels, part.versions or unknown * len(part.keys)):
            if (index := places.get(name)) is None:
                continue
            if version is not None and not same_version(version, now.versions[index]):
                others[name] = version
                changed[name] = difference(version, now.versions[index])
            elif by_label and label != now.labels[index]:
                changed[name] = f"its label was {(before or now).name(label)} and is {now.name(now.labels[index])}"
    kept: dict[str, str] = {}
    for name, version in others.items():
        if not readable(images, places[name]):
            kept[name] = version
            del changed[name]
        elif not all_of_them:  # one is enough, and it may be another folder of many
            break
    return Changed(changed, kept, known)


def warn_of_old(folder: Path) -> None:
    """Say what cannot be known of results of version 0.1.0."""
    warn(
        f"{folder} has results of version 0.1.0, which did not note the size and time of files or the seed of "
        "generated images: whether they were made of these images cannot be told",
        stacklevel=3,
    )


def refresh_labels(store: ExplanationStore, now: Fingerprint) -> bool:
    """Bring labels, which results are only listed with, up to date, and say so; whether they or class names differ."""
    before = read_samples(store.path)
    changed = relabel(store, dict(zip(now.ids, now.labels)))
    if changed:
        name, (old, new) = next(iter(changed.items()))
        warn(
            f"labels in {store.path} were brought up to date, {len(changed):,} in all, such as that of "
            f"{printable(name, _ID)}: {old} -> {new}",
            stacklevel=2,
        )
    return bool(changed) or (before is not None and list(before.classes) != list(now.classes))


def readable(images: ImageDataset, index: int) -> bool:
    """Whether a sample can be read."""
    try:
        images.image(index)
    except Exception:  # whatever a user's dataset raises
        return False
    return True


def images_that_came_or_went(before: Fingerprint | None, now: Fingerprint) -> str:
    """Which images are new and which are gone, as a clause; empty if none, or if that is not known."""
    if before is None:
        return ""
    new, gone = (list(dict.fromkeys(a).keys() - set(b)) for a, b in ((now.ids, before.ids), (before.ids, now.ids)))
    clauses = [f"{some(sorted(names))} {word}" for names, word in ((new, "new"), (gone, "gone")) if names]
    return " and ".join(clauses)


def other_images(before: Fingerprint, now: Fingerprint, failed: Collection[str] = ()) -> str:
    """What differs between all images of then and of now, as a clause; empty if nothing does."""
    if told := images_that_came_or_went(before, now):
        return told
    versions = dict(zip(before.ids, before.versions))
    pairs = ((name, versions[name], version) for name, version in zip(now.ids, now.versions) if name not in failed)
    return told_changes({name: difference(old, new) for name, old, new in pairs if not same_version(old, new)})


def told_changes(changed: Mapping[str, str]) -> str:
    """Samples that have changed, as a clause: how many, which is the first, and what of it; empty if there is none."""
    if not changed:
        return ""
    name, what = next(iter(changed.items()))
    if len(changed) == 1:
        return f"{printable(name, _ID)} has changed since ({printable(what, 2 * _ID)})"
    return f"{len(changed):,} images have changed since, such as {printable(name, _ID)} ({printable(what, 2 * _ID)})"


def some(names: Any) -> str:
    """One name, or how many there are and the first of them, with its verb."""
    first, count = printable(next(iter(names)), _ID), len(names)
    return f"{first} is" if count == 1 else f"{count:,} images, such as {first}, are"


def blocks_to_do(
    run: BlockRun[Any], store: ExplanationStore, shard: Shard, retry_failed: bool = False, by_label: bool = False
) -> list[int]:
    """Numbers of the blocks of a run that are still to do.

    Args:
        run: The run.
        store: Where the blocks are.
        shard: Share of the blocks that is done.
        retry_failed: Whether those with a failure are done again; those that are stale always are.
        by_label: Whether a sample that failed for want of a label is done again once it has one.
    """
    blocks = set(store.missing(run.datamodule.total_blocks))
    failures = {failure.id: failure.reason for failure in store.failures()}
    failed = {name for name, reason in failures.items() if retry_failed or reason == STALE}
    if by_label:
        labels, count = dict(zip(run.images.ids, run.images.labels)), run.model.network.num_classes
        unfit = (name for name, reason in failures.items() if reason == NO_LABEL or OUTSIDE in reason)
        failed |= {name for name in unfit if 0 <= labels.get(name, -1) < count}
    size = run.datamodule.block_size
    blocks |= {i // size for i, name in enumerate(run.images.ids if failed else ()) if name in failed}
    return shard.share(sorted(blocks))
