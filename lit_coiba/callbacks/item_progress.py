"""Progress of a run over things that take long each: a bar on a terminal, lines of their own in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from lit_coiba.callbacks.log_progress import Interval
from lit_coiba.callbacks.progress import duration

FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {postfix}{remaining} left"


class ItemProgress:
    """Where a run is, and how long it will take: what others have done meanwhile counts.

    Args:
        description: What the bar is about.
        noun: What is counted, in the plural.
        total: Number of things.
        shown: Whether anything is shown.
    """

    def __init__(self, description: str, noun: str, total: int, shown: bool) -> None:
        self._description, self._noun, self._total = description, noun, total
        lines = not sys.stderr.isatty()
        self._bar = tqdm(
            desc=description,
            total=total,
            disable=not shown or lines,
            bar_format=FORMAT,
            file=sys.stderr,
            dynamic_ncols=True,
            smoothing=0,
        )
        self._lines = shown and lines
        self._interval = Interval()
        self._started, self._first = time.monotonic(), 0.0

    def begin(self, done: int) -> None:
        """Begin to count, with some things done already."""
        self._started, self._first = time.monotonic(), float(done)
        self._bar.initial = done
        self.tell(done)

    def tell(self, done: float) -> None:
        """Say that so many things are done, and a share of those in hand."""
        if not self._bar.disable:
            self._bar.set_postfix_str(f"{int(done):,}/{self._total:,} {self._noun}, ", refresh=False)
            self._bar.update(done - self._bar.n)
        if self._lines and self._interval.due():
            took, share = time.monotonic() - self._started, done - self._first
            left = f", about {duration(took * (self._total - done) / share)} left" if share > 0 else ""
            said = f"{self._description}: {int(done):,} of {self._total:,} {self._noun}{left}"
            print(said, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


@contextmanager
def item_progress(description: str, noun: str, total: int, shown: bool) -> Iterator[ItemProgress]:
    """See `ItemProgress`."""
    progress = ItemProgress(description, noun, total, shown)
    try:
        yield progress
    finally:
        progress.close()
