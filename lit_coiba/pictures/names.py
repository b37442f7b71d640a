"""What classes are called on a picture, and whether a label contradicts a prediction."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_WORDNET_ID = re.compile(r"n\d{8}")


class Names(NamedTuple):
    """Names of the model's classes and of the data's labels."""

    classes: Sequence[str] = ()  # of the model, in index order; empty = unknown
    labels: Sequence[str] = ()  # of the data; empty = unknown
    same: bool = True  # whether a label is the number of a class of the model

    @classmethod
    def of(cls, data: Sequence[str], model: Sequence[str] | None, num_classes: int) -> Names:
        """The names for data with the class names `data`, and a model of `num_classes` classes.

        As many names as classes are those of the model; WordNet's ids give way to its names. Otherwise the model's own
        are used, where they are known, and labels are compared with them by name.
        """
        if len(data) == num_classes:
            named = model if model and all(map(_WORDNET_ID.fullmatch, data)) else data
            return cls(named, named)
        return cls(model or (), data or model or (), not data)

    def target(self, index: int) -> str:
        """The name of a class of the model, or its number."""
        return class_name(index, self.classes)

    def label(self, index: int) -> str:
        """The name of a label, or its number."""
        return class_name(index, self.labels)

    def wrong(self, label: int, predicted: int) -> bool | None:
        """Whether a prediction contradicts a label; None where that is not known."""
        if label < 0:
            return None
        if self.same:
            return label != predicted
        known = {name.casefold() for name in self.classes}
        return self.label(label).casefold() != self.target(predicted).casefold() if self._comparable(known) else None

    def _comparable(self, known: set[str]) -> bool:
        return bool(known) and all(name.casefold() in known for name in self.labels)


def class_name(index: int, classes: Sequence[str] | None) -> str:
    """The name of a class, or its number."""
    classes = classes or []
    return classes[index] if 0 <= index < len(classes) and classes[index].strip() else f"class {index}"
