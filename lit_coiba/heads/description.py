"""A head as plain values, which checkpoints hold, and back."""

from __future__ import annotations

from typing import Any

from lit_coiba.core.errors import InputError
from lit_coiba.heads.head import Head


def describe(head: Head) -> dict[str, Any]:
    """The class of a head and its arguments.

    Example:
        >>> from lit_coiba.heads import LinearHead
        >>> describe(LinearHead(8, 3))
        {'class': 'LinearHead', 'in_channels': 8, 'num_classes': 3, 'bias': True}
    """
    return {"class": type(head).__name__, **head.arguments()}


def build(description: dict[str, Any]) -> Head:
    """The head that `describe` was given, with new weights.

    Raises:
        InputError: No such head, or arguments that it does not have.
    """
    arguments = dict(description)
    name = arguments.pop("class", None)
    known = known_heads()
    if name not in known:
        raise InputError(f"there is no head {name}: there are {', '.join(sorted(known))}")
    try:
        return known[name](**arguments)
    except TypeError as error:
        raise InputError(f"{name} cannot be built: {error}") from error


def known_heads() -> dict[str, type[Head]]:
    """Every class of heads that has been imported, by its name."""
    return {kind.__name__: kind for kind in _kinds(Head)}


def _kinds(base: Any) -> list[type[Head]]:
    return [kind for child in base.__subclasses__() for kind in (child, *_kinds(child))]
