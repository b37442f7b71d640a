"""The classes of SyntheticParts: which variant of each part an object wears, and which classes fit what is left of it.

Hesse, Schaub-Meyer, Roth, FunnyBirds, 2023 (arXiv 2308.06248): classes are combinations of parts; a model is trained on
objects with missing parts and the targets that still fit; target sensitivity needs classes that share disjoint pairs.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError

PARTS = ("beak", "eye", "foot", "tail", "wing")
VARIANTS = 4  # looks of each part
NUM_CLASSES = 20

# A word per class, a digit per part. Taken greedily from a shuffled list of the 1,024 combinations where different from
# those taken in two parts at least; shuffled again until each class had disjoint pairs, each variant 3 to 7 classes.
_TABLE = """
    11120 12010 31213 23231 10100 03011 20132 00102 00023 32120
    31132 22210 31301 00032 22100 32313 11323 13023 22303 13222
"""


class SharedPairs(NamedTuple):
    """Two classes that each share exactly one pair of parts with a class, the two pairs being disjoint."""

    first: int
    first_parts: tuple[str, str]
    second: int
    second_parts: tuple[str, str]


@lru_cache(maxsize=1)
def class_table() -> tuple[tuple[int, ...], ...]:
    """The variant of each of `PARTS` for each class.

    Example:
        >>> class_table()[0]
        (1, 1, 1, 2, 0)
    """
    return tuple(tuple(map(int, row)) for row in _TABLE.split())


@lru_cache(maxsize=NUM_CLASSES)
def shared_pairs(label: int) -> tuple[SharedPairs, ...]:
    """Every two classes that share disjoint pairs of parts with class `label`: what target sensitivity compares.

    Raises:
        InputError: There is no such class.
    """
    if not 0 <= label < NUM_CLASSES:
        raise InputError(f"label is {label}, but SyntheticParts has classes 0 to {NUM_CLASSES - 1}: give one of these.")
    pairs = [(other, parts) for other in range(NUM_CLASSES) if len(parts := _shared(label, other)) == 2]
    return tuple(
        SharedPairs(first, (p[0], p[1]), second, (q[0], q[1]))
        for (first, p), (second, q) in combinations(pairs, 2)
        if not set(p) & set(q)
    )


def part_index(part: str) -> int:
    """The place of a part in `PARTS`.

    Raises:
        InputError: There is no such part.
    """
    if part not in PARTS:
        raise InputError(f"Part {part!r} does not exist: the parts are {', '.join(PARTS)}.")
    return PARTS.index(part)


def present_parts(without: Iterable[str] = ()) -> Tensor:
    """Which parts are left, bool ``(5,)``, when those named in `without` are removed.

    Example:
        >>> present_parts(without=["eye"])
        tensor([ True, False,  True,  True,  True])
    """
    present = torch.ones(len(PARTS), dtype=torch.bool)
    for part in without:
        present[part_index(part)] = False
    return present


def compatible_classes(present: Tensor, label: int | Tensor) -> Tensor:
    """Classes that fit the parts left of an object: bool ``(..., 5)``, class index ``(...)`` -> bool ``(..., K)``.

    A removed part fits every class, so the object's own class is always among them.

    Example:
        >>> compatible_classes(present_parts(), 3).nonzero()
        tensor([[3]])
    """
    return matching_classes(torch.where(present, torch.tensor(class_table(), device=present.device)[label], -1))


def matching_classes(variants: Tensor) -> Tensor:
    """Classes that fit the variants seen, -1 for a removed part: int64 ``(..., 5)`` -> bool ``(..., K)``, maybe none.

    Example:
        >>> matching_classes(torch.tensor(class_table()[3])).nonzero()
        tensor([[3]])
    """
    seen = variants.unsqueeze(-2)
    return ((seen == torch.tensor(class_table(), device=variants.device)) | (seen < 0)).all(-1)


def soft_targets(fits: Tensor) -> Tensor:
    """1/k over the k classes that fit: bool ``(..., K)`` -> float32 ``(..., K)``."""
    return fits / fits.sum(-1, keepdim=True)


def _shared(first: int, second: int) -> tuple[str, ...]:
    rows = zip(PARTS, class_table()[first], class_table()[second])
    return tuple(part for part, a, b in rows if a == b)
