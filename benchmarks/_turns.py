"""Two ways to do the same take turns in one process; what is compared is processor time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple


class Turns(NamedTuple):
    """Medians over the rounds."""

    theirs: float  # seconds
    ours: float  # seconds
    ratio: float  # of theirs to ours, of each round

    def __str__(self) -> str:
        return f"{self.theirs:.3f} s | {self.ours:.3f} s | {self.ratio:.2f}"


def take_turns(theirs: Callable[[], Any], ours: Callable[[], Any], rounds: int) -> Turns:
    """Run both once without looking at the clock, then `rounds` times one after the other."""
    sides, seconds = (theirs, ours), ([], [])
    for number in range(rounds + 1):
        for side, taken in zip(sides, seconds):
            began = time.process_time()
            side()
            if number:
                taken.append(time.process_time() - began)
    ratio = statistics.median(other / own for other, own in zip(*seconds))
    return Turns(*map(statistics.median, seconds), ratio)
