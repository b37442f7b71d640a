"""Shares as whole percent that add up to 100."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentages(shares: Sequence[float]) -> list[int | None]:
    """Signed shares, which add up to 1, as whole percent that add up to 100: the largest remainders are rounded up.

    Each is rounded to one of its two neighbors, so no share changes its sign. Equal remainders go to the first ones.
    None where the shares add up to something else, as they do where all contributions are 0.

    Example:
        >>> percentages([1 / 3, 1 / 3, 1 / 3]), percentages([1.204, -0.204]), percentages([float("nan")])
        ([34, 33, 33], [120, -20], [None])
    """
    if not all(map(math.isfinite, shares)) or abs(sum(shares) - 1) > 1e-3:
        return [None] * len(shares)
    exact = [100 * share / sum(shares) for share in shares]
    found = [math.floor(value) for value in exact]
    missing = 100 - sum(found)
    order = sorted(range(len(exact)), key=lambda k: (found[k] - exact[k], k))
    for k in order[:missing]:
        found[k] += 1
    return list(found)
