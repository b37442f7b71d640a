"""A share of the blocks of a run, for jobs that do not talk to one another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from lit_coiba.core.errors import InputError


class Shard(NamedTuple):
    """Every `total`-th block, from number `number` on; together the shards 0 to `total` - 1 are all blocks.

    Example:
        >>> Shard.of("1/3").share(range(8))
        [1, 4, 7]
    """

    number: int
    total: int

    @classmethod
    def of(cls, given: str | Sequence[int] | None) -> Shard:
        """A shard from ``"i/n"`` or ``(i, n)``; None = the only one.

        Raises:
            InputError: It is neither, or there is no such shard.
        """
        if given is None:
            return cls(0, 1)
        match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", given) if isinstance(given, str) else None
        numbers = match.groups() if match else () if isinstance(given, str) else tuple(given)
        if len(numbers) != 2 or not 0 <= int(numbers[0]) < int(numbers[1]):
            raise InputError(f"shard is {given}, but must be i/n with i from 0 to n - 1, such as 0/4")
        return cls(int(numbers[0]), int(numbers[1]))

    def share(self, blocks: Sequence[int]) -> list[int]:
        """Those of the block numbers that are this shard's."""
        return [block for block in blocks if block % self.total == self.number]
