"""Classes of generated samples: balanced, and in no order that a regular choice of samples could fall in with."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np


def balanced_labels(seed: int, numbers: Iterable[int], classes: int) -> list[int]:
    """A class for each number, a function of seed and number; of so many numbers in a row each class has one.

    Example:
        >>> sorted(balanced_labels(0, range(4, 8), 4))
        [0, 1, 2, 3]
    """
    return [_order(seed, number // classes, classes)[number % classes] for number in numbers]


@lru_cache(maxsize=256)
def _order(seed: int, block: int, classes: int) -> list[int]:
    """The classes in random order."""
    draws = np.random.Generator(np.random.PCG64([seed, block, 11])).random(classes)
    order: list[int] = np.argsort(draws, kind="stable").tolist()
    return order
