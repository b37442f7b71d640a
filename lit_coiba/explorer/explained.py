"""Which samples belong to a class, and which explanations there are of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from lit_coiba.explorer.predictions import Predictions
from lit_coiba.explorer.runs import Runs
from lit_coiba.store import ExplanationStore, Row


class Explained:
    """The explanations of several stores, by sample, and samples by the class on whose page they are.

    That is the class that the model gives them; where it is not known, each class that they are explained for.

    Args:
        runs: The stores.
        predictions: What the model says of every sample.
    """

    def __init__(self, runs: Runs, predictions: Predictions) -> None:
        self._stores: list[ExplanationStore] = list(runs.stores.values())
        self._keys = [store.keys() for store in self._stores]
        self._unknown: dict[int, list[str]] = {}  # class -> samples whose prediction nobody knows
        self._predictions = predictions
        for keys in self._keys:
            for name, target in keys:
                found = predictions.of(name)
                if found is None or found.predicted is None:
                    names = self._unknown.setdefault(target, [])
                    if not names or names[-1] != name:
                        names.append(name)

    @property
    def classes(self) -> list[int]:
        """Classes on whose pages samples are, of which the model's prediction is not known."""
        return sorted(self._unknown)

    def samples(self, cls: int) -> list[str]:
        """Ids of the samples of a class, sorted."""
        given = {one.id for one in self._predictions.given(cls)}
        return sorted(given.union(self._unknown.get(cls, ())))

    def keys(self, name: str) -> Iterator[tuple[int, int]]:
        """(number of the store, target) of each explanation of a sample."""
        for number, keys in enumerate(self._keys):
            place = bisect_left(keys, (name, -1))
            while place < len(keys) and keys[place][0] == name:
                yield number, keys[place][1]
                place += 1

    def row(self, store: int, name: str, target: int) -> Row:
        """An explanation.

        Raises:
            InputError: It cannot be read.
        """
        return self._stores[store][name, target]
