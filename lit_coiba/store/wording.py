"""What a store says of samples and targets that were asked for in vain."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from lit_coiba.core.batch import Failure

_COMPARED = 5000  # ids, in sorted order, that are compared with one that was not found
_LISTED = 10  # targets in a message


def absent(sample: object, store: str, failures: Iterable[Failure], ids: Sequence[str]) -> str:
    """Why there is no such sample in a store, and which of its `ids` come near."""
    if not isinstance(sample, str):
        return f"a store has no entry {sample!r}: give store[id] or store[id, target], with one of store.ids()"
    for failure in failures:
        if failure.id == sample:
            return f"{sample!r} has no explanation, since it failed: {failure.reason}"
    close = [repr(candidate) for candidate in _near(sample, list(ids))]
    hint = f"did you mean {' or '.join(close)}?" if close else f"{store} has {len(ids)} samples"
    return f"{sample!r} is not in store {store}: {hint}"


def listed(targets: Iterable[int]) -> str:
    """Numbers in order, the first ten of them."""
    numbers = sorted(targets)
    more = f" and {len(numbers) - _LISTED} more" if len(numbers) > _LISTED else ""
    return ", ".join(map(str, numbers[:_LISTED])) + more


def _near(sample: str, ids: list[str]) -> list[str]:
    """Up to three of the sorted `ids` that contain the text that was asked for, or else look like it."""
    inside = [candidate for candidate in ids if sample and sample in candidate]
    if inside:
        return inside[:3]
    start = max(0, min(bisect_left(ids, sample) - _COMPARED // 2, len(ids) - _COMPARED))
    return get_close_matches(sample, ids[start : start + _COMPARED], n=3)
