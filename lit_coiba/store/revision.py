"""What is rewritten of a store without explaining anything: labels that were corrected, results that no longer hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from lit_coiba.core.batch import Failure
from lit_coiba.store.records import BlockRecord

if TYPE_CHECKING:
    from lit_coiba.store.store import ExplanationStore

STALE = "what it was made from has changed since: rerun the command"  # failure of a sample that `forget` took out


def relabel(store: ExplanationStore, labels: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Give the rows of a store the labels of now: id -> old and new label of those that were others.

    Args:
        store: The store.
        labels: Label of each sample; what is not in it stays.
    """
    changed: dict[str, tuple[int, int]] = {}
    for block, part in store.parts():
        others = {
            name: (old, labels[name]) for (name, _), old in zip(part.keys, part.labels) if old != labels.get(name, old)
        }
        if others and (record := store.record(block)) is not None:
            new = [labels.get(name, old) for name, old in zip(record.ids, record.labels.tolist())]
            store.write(record._replace(labels=torch.tensor(new)))
            changed |= others
    return changed


def forget(store: ExplanationStore, samples: Collection[str]) -> None:
    """Take the rows of some samples out of a store, which has them as failures from then on."""
    asked = set(samples)
    for block, part in store.parts():
        if asked.isdisjoint(name for name, _ in part.keys) or (record := store.record(block)) is None:
            continue
        kept = [row for row, name in enumerate(record.ids) if name not in asked]
        gone = dict.fromkeys(name for name in record.ids if name in asked)
        failures = (*record.failures, *(Failure(name, STALE) for name in gone))
        store.write(_rows(record, kept)._replace(failures=failures), keep=False)


def keeping(record: BlockRecord, before: BlockRecord) -> BlockRecord:
    """A record of a block with the rows of an earlier one for those samples which fail now and did not then."""
    failed = {failure.id for failure in record.failures}
    rows = [row for row, name in enumerate(before.ids) if name in failed]
    if not rows:
        return record
    old = _rows(before, rows)
    joined = old if not record.ids else _joined(old, record)
    if joined is None:
        return record
    order = sorted(range(len(joined.ids)), key=joined.ids.__getitem__)  # as samples are; their targets keep their order
    kept = set(old.ids)
    failures = tuple(failure for failure in record.failures if failure.id not in kept)
    return _rows(joined, order)._replace(failures=failures)


def _rows(record: BlockRecord, rows: Sequence[int]) -> BlockRecord:
    """Some rows of a record, and all of its failures."""
    index = torch.tensor(rows, dtype=torch.long)
    return record._replace(
        ids=tuple(record.ids[row] for row in rows),
        targets=record.targets[index],
        labels=record.labels[index],
        probabilities=record.probabilities[index],
        maps=record.maps[index],
        extras={name: values[index] for name, values in record.extras.items()},
        versions=None if record.versions is None else tuple(record.versions[row] for row in rows),
    )


def _joined(first: BlockRecord, second: BlockRecord) -> BlockRecord | None:
    """The rows of both, with the failures of the second; None where they are of different kinds."""
    extras = first.extras.keys()
    same = first.maps.shape[1:] == second.maps.shape[1:] and extras == second.extras.keys()
    if not same or any(first.extras[name].shape[1:] != second.extras[name].shape[1:] for name in extras):
        return None
    several = first.versions is not None or second.versions is not None
    versions = [one.versions or ("",) * len(one.ids) for one in (first, second)]
    return second._replace(
        ids=(*first.ids, *second.ids),
        targets=torch.cat([first.targets, second.targets.cpu()]),
        labels=torch.cat([first.labels, second.labels.cpu()]),
        probabilities=torch.cat([first.probabilities, second.probabilities.cpu().float()]),
        maps=torch.cat([first.maps, second.maps.cpu().float()]),
        extras={name: torch.cat([first.extras[name], second.extras[name].cpu()]) for name in extras},
        versions=(*versions[0], *versions[1]) if several else None,
    )
