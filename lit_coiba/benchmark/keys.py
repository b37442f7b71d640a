"""Which explanations of several stores can be compared, and what the stores are called."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from lit_coiba.core.errors import InputError, warn
from lit_coiba.core.old_names import current_identity
from lit_coiba.core.printable import counted, listed, printable
from lit_coiba.core.targets.strings import target_text
from lit_coiba.modules.scorer import Keys
from lit_coiba.store import ExplanationStore

_CAUSES = (  # what of a store's identity makes it explain other classes or images, what it is called, and the remedy
    ("targets", "their targets", "explain both with the same --model.targets"),
    (
        "precision",
        "their precisions, in which the model may predict different classes,",
        "explain both with the same --trainer.precision, or with --model.targets label",
    ),
    ("samples", "their numbers of images", "explain the same images, with the same --limit"),
)


def names_of(folders: Sequence[str]) -> dict[str, str]:
    """Name in the table -> folder: the folder's own name, or the whole path where two are alike.

    Raises:
        InputError: There is no store, or one is given twice.
    """
    if not folders:
        raise InputError("stores: give at least one folder that `lit-coiba explain` wrote")
    folders = [os.fspath(folder) for folder in folders]
    if len({os.path.realpath(os.path.expanduser(folder)) for folder in folders}) < len(folders):
        raise InputError(f"stores: {', '.join(folders)} names a folder twice: keep one")
    names = [Path(os.path.abspath(folder)).name for folder in folders]  # of ".." too
    if len(set(names)) < len(names):
        names = [folder.strip("/").replace("/", "-") for folder in folders]
    if len(set(names)) < len(names):  # a/b-c and a-b/c
        names = [f"{name}-{number}" for number, name in enumerate(names, start=1)]
    return dict(zip(names, folders))


def finest_grid(stores: Sequence[ExplanationStore]) -> tuple[int, int]:
    """Height and width of the maps in the store that has the most cells.

    Raises:
        InputError: A store without a map that can be read.
    """
    firsts = [(store, next(iter(store), None)) for store in stores]
    if empty := [store for store, row in firsts if row is None]:
        raise InputError(
            f"stores: {printable(empty[0].path, 200)} has no explanation that can be read: rerun the command that wrote"
            " it"
        )
    shapes = [row.map.shape for _, row in firsts if row is not None]
    height, width = max(shapes, key=lambda shape: shape.numel())
    return height, width


def common_keys(stores: Sequence[ExplanationStore], ids: Sequence[str]) -> Keys:
    """The (id, target) that all stores explain, of the samples `ids`, since scores are compared in pairs.

    Warns of the others, which are left out.

    Raises:
        InputError: There are none.
    """
    asked = set(ids)
    found = [{key for key in set(store.keys()) if key[0] in asked} for store in stores]
    shared = sorted(set.intersection(*found))
    if not shared:
        names = listed(store.path for store in stores)
        what, same = ("stores", " and of the same class in all of them") if len(stores) > 1 else ("store", "")
        cause = _difference(stores) or "; give stores of the same data and targets"
        raise InputError(
            f"{what} {names}: no explanation is of the data's images{same}, so nothing can be compared{cause}"
        )
    if others := sorted(set.union(*found) - set(shared)):
        warn(f"{_left_out(shared, others)}{_cause(stores, asked)}", stacklevel=2)
    keys: Keys = {}
    for sample, target in shared:
        keys.setdefault(sample, []).append(target)
    return keys


def _cause(stores: Sequence[ExplanationStore], asked: Collection[str]) -> str:
    """Why stores explain different classes or images, and what to do, as the end of a sentence."""
    if difference := _difference(stores):
        return difference
    failed = {store.path.name: {failure.id for failure in store.failures()} & set(asked) for store in stores}
    most = max(failed, key=lambda name: len(failed[name]))
    if count := len(failed[most]):
        return f"; {count:,} images failed in {most}: after fixing the files, explain with --retry_failed true"
    return "; explain with the same command until nothing is missing"


def _difference(stores: Sequence[ExplanationStore]) -> str:
    """In which argument stores differ, and what to do, as the end of a sentence; empty if in none of the usual ones."""
    for key, what, remedy in _CAUSES:
        values = [current_identity(store.manifest.identity).get(key) for store in stores]
        first, other = 0, next((k for k, value in enumerate(values) if value != values[0]), 0)
        if other:
            told = [f"{stores[k].path.name} {printable(target_text(values[k]), 40)}" for k in (first, other)]
            return f"; {what} differ ({told[0]}, {told[1]}): {remedy}"
    return ""


def _left_out(shared: list[tuple[str, int]], others: list[tuple[str, int]]) -> str:
    """How many explanations are compared, and of how many images there are others."""
    sample, target = others[0]
    images = len({name for name, _ in others})
    return (
        f"{counted(len(shared), 'explanation')} compared, others of {counted(images, 'image')} left out, such as"
        f" {printable(sample, 80)} (class {target}): they are not in all stores, or of another class"
    )
