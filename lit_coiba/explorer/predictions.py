"""What a model says of every image that some run knows."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.explorer.runs import Runs
from lit_coiba.lipschitz.certifying import RADIUS
from lit_coiba.pictures.about import explains_predictions
from lit_coiba.pictures.order import predicted
from lit_coiba.store import ExplanationStore
from lit_coiba.store.radii import has_radii


class Prediction(NamedTuple):
    """What is known of one image."""

    id: str
    label: int | None  # None = none, or no class of the model
    predicted: int | None  # None = unknown
    probability: float | None  # of the predicted class
    logit: float | None
    radius: float | None = None  # certified, in L2 of pixels in [0, 1]; None = no certificate

    @property
    def correct(self) -> bool | None:
        """Whether the prediction is the label; None where one of them is not known."""
        return None if self.label is None or self.predicted is None else self.label == self.predicted


class Predictions:
    """Labels and predictions, sorted by id, and by class.

    Args:
        runs: The concepts and explanations of a model.
        argument: Name of the argument that gives them.

    Raises:
        InputError: Two of them have other labels for an image, so they are of different data; or one is damaged.
    """

    def __init__(self, runs: Runs, argument: str = "runs") -> None:
        known: dict[str, Prediction] = {}
        for run in runs.concepts:
            columns = (run.predictions()[name].to_pylist() for name in Prediction._fields if name != "radius")
            _gather(known, map(Prediction, *columns), argument)
        for store in runs.stores.values():
            _gather(known, _of_store(store, len(runs.class_names)), argument)
        self.ids = sorted(known)
        rows = [known[name] for name in self.ids]
        self._labels = _numbers([row.label for row in rows])
        self._predicted = _numbers([row.predicted for row in rows])
        self._probabilities = np.array([_real(row.probability) for row in rows], np.float32)
        self._logits = np.array([_real(row.logit) for row in rows], np.float32)
        self._radii = np.array([_real(row.radius) for row in rows], np.float32)
        self._by_label, self._by_predicted = (
            np.argsort(self._labels, kind="stable"),
            np.argsort(self._predicted, kind="stable"),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> Prediction:
        label, predicted = int(self._labels[row]), int(self._predicted[row])
        real = (float(values[row]) for values in (self._probabilities, self._logits, self._radii))
        known = (None if value != value else value for value in real)
        return Prediction(self.ids[row], label if label >= 0 else None, predicted if predicted >= 0 else None, *known)

    def of(self, name: str) -> Prediction | None:
        """What is known of an image; None = nothing."""
        row = bisect_left(self.ids, name)
        return self[row] if row < len(self.ids) and self.ids[row] == name else None

    def given(self, cls: int) -> list[Prediction]:
        """Images that the model gives a class, by id."""
        return self._between(self._by_predicted, self._predicted, cls)

    def labelled(self, cls: int) -> list[Prediction]:
        """Images of a class, by id."""
        return self._between(self._by_label, self._labels, cls)

    def certified(self) -> list[Prediction]:
        """Images whose prediction has a certified radius, by id."""
        return [self[int(row)] for row in np.flatnonzero(~np.isnan(self._radii))]

    @property
    def classes(self) -> list[int]:
        """Classes that an image has or is given."""
        found = np.union1d(self._labels, self._predicted)
        return [int(cls) for cls in found if cls >= 0]

    def counts(self) -> tuple[int, int]:
        """Images with label and prediction, and those where both are the same."""
        known = (self._labels >= 0) & (self._predicted >= 0)
        return int(known.sum()), int((known & (self._labels == self._predicted)).sum())

    def digest(self) -> str:
        """SHA-256 of all of it."""
        sha = hashlib.sha256("\n".join(self.ids).encode())
        for values in (self._labels, self._predicted, self._probabilities, self._logits, self._radii):
            sha.update(values.tobytes())
        return sha.hexdigest()

    def confused(self) -> list[tuple[int, int, int]]:
        """(label, predicted class, images) of each pair of different classes that occurs."""
        wrong = (self._labels >= 0) & (self._predicted >= 0) & (self._labels != self._predicted)
        pairs = np.stack([self._labels[wrong], self._predicted[wrong]], 1)
        found, counts = np.unique(pairs, axis=0, return_counts=True)
        return [(int(label), int(predicted), int(n)) for (label, predicted), n in zip(found, counts)]

    def most_certain_errors(self, count: int) -> list[Prediction]:
        """Images that the model gives another class than their own, the most certain first."""
        wrong = np.flatnonzero((self._labels >= 0) & (self._predicted >= 0) & (self._labels != self._predicted))
        order = wrong[np.argsort(-np.nan_to_num(self._probabilities[wrong], nan=-1.0), kind="stable")]
        return [self[int(row)] for row in order[:count]]

    def _between(self, order: np.ndarray, values: np.ndarray, cls: int) -> list[Prediction]:
        first, last = np.searchsorted(values, [cls, cls + 1], sorter=order)
        return [self[int(row)] for row in order[first:last]]


def _gather(known: dict[str, Prediction], found: Iterator[Prediction], argument: str) -> None:
    """Add what is new; what is known already has to have the same label."""
    for one in found:
        before = known.get(one.id)
        if before is None:
            known[one.id] = one
        elif before.label is not None and one.label is not None and before.label != one.label:
            raise InputError(
                f"{argument}: {printable(one.id, 80)} has the label {before.label} in one of the runs and {one.label}"
                " in another, so they are not of the same data: give runs of one dataset"
            )
        elif before.predicted is None and one.predicted is not None:
            known[one.id] = one
        elif before.radius is None and one.radius is not None:  # a radius is of the decision that it comes with
            label = before.label if one.label is None else one.label
            known[one.id] = one._replace(label=label, logit=before.logit if before.predicted == one.predicted else None)


def _of_store(store: ExplanationStore, classes: int) -> Iterator[Prediction]:
    """What a store says of its images; labels that are no classes of the model are left out."""
    always, certified = explains_predictions(store.manifest), has_radii(store.manifest)
    for row in store:
        found = predicted(row, always)
        label = row.label if 0 <= row.label < (classes or 2**31) else None
        certain = found.probability if found.cls >= 0 else None
        radius = float(row.extras[RADIUS]) if certified and found.cls >= 0 else None
        yield Prediction(row.id, label, found.cls if found.cls >= 0 else None, certain, None, radius)


def _numbers(values: Sequence[int | None]) -> np.ndarray:
    return np.array([-1 if value is None else value for value in values], np.int32)


def _real(value: float | None) -> float:
    return float("nan") if value is None else value
