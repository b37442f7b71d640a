"""What is computed once for several metrics, and for several maps of the same images."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Value = TypeVar("Value")


class Shared:
    """Values of one batch of rows by their keys: whoever asks first computes, the others are handed the same.

    A key says all that decides the value but for model, images and targets, which are those of the batch. A value is
    never written into. It lives as long as its batch, so memory does not grow with the dataset.

    Example:
        >>> shared = Shared()
        >>> shared.get("clean", lambda: 3), shared.get("clean", lambda: 4)
        (3, 3)
    """

    def __init__(self) -> None:
        self._values: dict[Hashable, Any] = {}

    def get(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """The value of a key, computed where nobody has asked for it before."""
        if key not in self._values:
            self._values[key] = compute()
        found: Value = self._values[key]
        return found
