"""A validation part for datasets that are released with train and test only."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Sequence
from hashlib import sha256


def held_out(ids: Sequence[str], labels: Sequence[int], share: float) -> list[int]:
    """Which samples of a training split are kept for validation: of every class the same share, anywhere the same.

    Of a class with n samples it is ``round(share * n)`` (halves up), at least one and never all. They are those whose
    file names have the smallest SHA-256: that depends on nothing else, so a file stays where it is when others come or
    go or lie in other folders, and a larger share holds those of a smaller one.

    Args:
        ids: Relative POSIX paths.
        labels: Class of each path.
        share: Share of each class to hold out, 0 to less than 1; 0 = none.

    Returns:
        Indices, ascending.

    Example:
        >>> held_out([f"cat/{k}.jpg" for k in range(20)], [0] * 20, 0.1)
        [0, 19]
    """
    members: dict[int, list[int]] = {}
    for index, label in enumerate(labels):
        members.setdefault(label, []).append(index)
    held: list[int] = []
    for indices in members.values():
        count = min(max(math.floor(share * len(indices) + 0.5), 1), len(indices) - 1) if share else 0
        held += sorted(indices, key=lambda index: _rank(ids[index]))[:count]
    return sorted(held)


def _rank(name: str) -> tuple[bytes, str]:
    return sha256(posixpath.basename(name).encode()).digest(), name
