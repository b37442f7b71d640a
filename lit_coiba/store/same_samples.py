"""Whether stores that are to become one are about the same samples, which may have changed between their runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lit_coiba.core.errors import InputError, warn
from lit_coiba.core.printable import printable
from lit_coiba.core.targets.strings import explains_labels
from lit_coiba.data.fingerprint import difference, same_version
from lit_coiba.store.samples import read_samples
from lit_coiba.store.store import ExplanationStore

_ID = 80  # characters of an id in a message


class _Known(NamedTuple):
    """What a store knows of a sample."""

    store: ExplanationStore
    version: str
    label: int


def check_same_samples(stores: Sequence[ExplanationStore]) -> None:
    """Refuse stores whose rows are of other samples than another one knows; warn where only labels differ.

    Raises:
        InputError: A picture, or a label that decides what is explained, was another one for one of them.
    """
    by_label = explains_labels(stores[0].manifest.identity.get("targets"))
    rows: dict[str, _Known] = {}
    relabelled: dict[str, tuple[int, int]] = {}
    explained = ((name, known, True) for store in stores for name, known in _rows(store))
    listed = ((name, known, False) for store in stores for name, known in _listed(store))
    for generator in (explained, listed):
        for name, known, is_row in generator:
            first = rows.setdefault(name, known) if is_row else rows.get(name, known)
            if not same_version(first.version, known.version):
                _refuse(name, first, known, difference(first.version, known.version))
            if first.label != known.label:
                if by_label:
                    _refuse(
                        name, first, known, f"its label is {first.label} in the first and {known.label} in the other"
                    )
                relabelled[name] = first.label, known.label
    if relabelled:
        name, (one, other) = next(iter(relabelled.items()))
        warn(
            f"{len(relabelled):,} images have other labels in some of the stores, such as {printable(name, _ID)} "
            f"({one} and {other}): lit-coiba explain with the joined store brings them up to date",
            stacklevel=3,
        )


def _rows(store: ExplanationStore) -> Iterator[tuple[str, _Known]]:
    """What was explained; nothing of stores of version 0.1.0, which know no versions."""
    for _, part in store.parts():
        for (name, _), label, version in zip(part.keys, part.labels, part.versions or ()):
            yield name, _Known(store, version, label)


def _listed(store: ExplanationStore) -> Iterator[tuple[str, _Known]]:
    """What the last run of a store listed, but for what failed: such a file may be mended."""
    failed = {failure.id for failure in store.failures()}
    if (samples := read_samples(store.path)) is not None:
        for name, version, label in zip(samples.ids, samples.versions, samples.labels):
            if name not in failed:
                yield name, _Known(store, version, label)


def _refuse(name: str, first: _Known, second: _Known, what: str) -> None:
    raise InputError(
        f"{first.store.path} and {second.store.path} cannot be merged: {printable(name, _ID)} is not the same in both "
        f"({printable(what, 2 * _ID)}); rerun the older one's command with --if_changed recompute"
    )
