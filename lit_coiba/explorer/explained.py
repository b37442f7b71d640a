"""Which samples belong to a class, and which explanations there are of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from lit_coiba.explorer.predictions import Predictions
from lit_coiba.explorer.runs import Runs
from lit_coiba.store import ExplanationStore, Row


class Explained:
    """The explanations of several stores, by sample, and samples by the class on whose page they are.

    That is the class that the model gives them; where it is not known, each class that they are explained for. Samples
    are images that are explained or that concepts were measured in, and not all that the model has ever seen.

    Args:
        runs: The stores.
        predictions: What the model says of every sample.
        errors: Whether images that the model gives a wrong class are samples too, since there are pictures of them.
    """

    def __init__(self, runs: Runs, predictions: Predictions, errors: bool = False) -> None:
        self._stores: list[ExplanationStore] = list(runs.stores.values())
        self._keys = [store.keys() for store in self._stores]
        self._unknown: dict[int, list[str]] = {}  # class -> samples whose prediction nobody knows
        self._predictions, self._errors = predictions, errors
        self._samples: dict[int, list[str]] = {}
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

    def samples(self, cls: int, measured: Iterable[str] = ()) -> list[str]:
        """Ids of the samples of a class, sorted; the same at every call.

        Args:
            cls: Number of the class.
            measured: Ids of the images that its concepts were measured in; only the first call has to say them.
        """
        if cls not in self._samples:
            found = {*measured, *self._unknown.get(cls, ())}
            for one in self._predictions.given(cls):
                if (self._errors and one.correct is False) or any(True for _ in self.keys(one.id)):
                    found.add(one.id)
            self._samples[cls] = sorted(found)
        return self._samples[cls]

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
