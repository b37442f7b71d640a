"""How accurate a model is while parts of images are missing: measured when it was trained so, and told by its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from torch import nn

KEY = "missing_parts"  # in the arguments that a file of weights tells
POINTS = 0.02  # of accuracy that a model may lose: else parts that are missing are not in its distribution (ours)

_TOLD = "_missing_parts"  # attribute of a model

Part = Literal["cell", "pixels"]


class MissingParts(NamedTuple):
    """What was missing of every image, and what it cost.

    Example:
        >>> MissingParts("cell", 4, "zero", 0.93, 0.92).in_distribution
        True
    """

    part: Part  # one cell of a grid, drawn at random, or pixels
    amount: float  # cells a side of the grid, or the share of the pixels
    baseline: str | float  # what was in their place
    clean: float  # accuracy on whole images
    missing: float  # accuracy without the parts

    @property
    def in_distribution(self) -> bool:
        """Whether the accuracy without the parts is within two points of that on whole images."""
        return self.missing >= self.clean - POINTS


def tell_missing_parts(model: nn.Module, told: Any) -> None:
    """Note what a file says of a model with the weights that it has now; None = nothing."""
    model.__dict__[_TOLD] = _read(told)


def missing_parts(model: Any) -> MissingParts | None:
    """What the file of a model's weights says of it, a `Backbone`'s or a module's; None = nothing is known."""
    for owner in (model, getattr(model, "model", None)):
        found = getattr(owner, "__dict__", {}).get(_TOLD)
        if isinstance(found, MissingParts):
            return found
    return None


def _read(told: Any) -> MissingParts | None:
    """What a file says, which may come from anyone; None where it makes no sense."""
    if not isinstance(told, Mapping) or set(told) != set(MissingParts._fields):
        return None
    numbers = [told[name] for name in ("amount", "clean", "missing")]
    known = told["part"] in ("cell", "pixels") and isinstance(told["baseline"], str | int | float)
    if not known or not all(isinstance(number, int | float) for number in numbers):
        return None
    return MissingParts(**{str(name): value for name, value in told.items()})
