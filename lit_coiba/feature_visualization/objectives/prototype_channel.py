"""A unit of an interpretable head as what an image is optimized for."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.feature_visualization.objectives.objective import Objective, Score
from lit_coiba.feature_visualization.seen import Seen
from lit_coiba.heads import Head

Side = Literal[1, -1]


class PrototypeChannel(Objective):
    """The strength of a head's unit, by which its prototypes are ranked: maximum or sum of its map (`Head.score`).

    Args:
        unit: Number of the unit.
        side: 1; or -1 for the negative side, where that is evidence too (InfoDisent).

    Raises:
        InputError: The side is neither.

    Example:
        >>> PrototypeChannel(12).name, PrototypeChannel(12, -1).name
        ('unit 12', 'unit 12, negative side')
    """

    def __init__(self, unit: int, side: Side = 1) -> None:
        if side not in (1, -1):
            raise InputError(f"side is {side!r}: give 1 or -1")
        self.unit, self.side = unit, side

    @property
    def name(self) -> str:
        """The unit, and its side where it is the negative one."""
        return f"unit {self.unit}" + (", negative side" if self.side < 0 else "")

    def bind(self, model: Any, start: Seen) -> Score:
        """See `Objective.bind`."""
        head = head_of(model)
        if not 0 <= self.unit < head.units:
            raise InputError(f"unit is {self.unit}, and the head has the units 0 to {head.units - 1}: choose one")
        if self.side < 0 and not head.two_sided:
            raise InputError(f"the units of {type(head).__name__} have no negative side: leave out side")

        def score(seen: Seen, rows: slice) -> Tensor:
            flat = self.side * head.activations(seen.feature_maps[rows])[:, self.unit].flatten(1)
            return flat.amax(1) if head.score == "max" else flat.sum(1)

        return score


def head_of(model: Any) -> Head:
    """The interpretable head of a model.

    Raises:
        InputError: It has none.
    """
    head = getattr(model, "head", None)
    if not isinstance(head, Head):
        raise InputError(
            "units are those of an interpretable head, and this model has none: train one with model.head in fit, and"
            " give its file as model.weights"
        )
    return head
