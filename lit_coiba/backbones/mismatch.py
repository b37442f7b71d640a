"""In what a set of weights differs from what a model expects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from lit_coiba.core.printable import printable

SHOWN = 3  # names of each kind that a message lists

Shape = tuple[int, ...]


class Mismatch(NamedTuple):
    """Names that differ."""

    missing: list[str]
    unexpected: dict[str, Shape]
    shapes: dict[str, tuple[Shape, Shape]]  # name -> (in the file, in the model)

    @classmethod
    def between(cls, weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Mismatch:
        """Compare weights from a file with a model's own."""
        both = [name for name in own if name in weights]
        return cls(
            [name for name in own if name not in weights],
            {name: tuple(tensor.shape) for name, tensor in weights.items() if name not in own},
            {n: (tuple(weights[n].shape), tuple(own[n].shape)) for n in both if weights[n].shape != own[n].shape},
        )

    @property
    def names(self) -> list[str]:
        """All names that differ."""
        return [*self.missing, *self.unexpected, *self.shapes]

    def sentence(self, head: str | None) -> str:
        """What differs and what to do.

        Args:
            head: Name of the classifier, whose weight has one row per class.
        """
        if head is not None and all(name.startswith(f"{head}.") for name in self.names):
            given = self.unexpected.get(f"{head}.weight") or self.shapes.get(f"{head}.weight", ((0,), ()))[0]
            if self.missing:
                return "it has no classifier; set new_head: true to start with a random one"
            return f"it is for {given[0]} classes; set num_classes: {given[0]}, or new_head: true for other classes"
        shapes = [f"{name} {given} instead of {expected}" for name, (given, expected) in self.shapes.items()]
        kinds = (("missing", self.missing), ("unexpected", list(self.unexpected)), ("of another shape", shapes))
        listed = "; ".join(f"{kind}: {_first(names)}" for kind, names in kinds if names)
        return f"{listed}; check name, num_classes, image_size and timm_kwargs"


def _first(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(printable(name, 60) for name in names[:SHOWN]) + more
