"""Progress of work that is counted: a bar with the time left on a terminal, lines of their own in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from lit_coiba.callbacks.log_progress import Interval


@contextmanager
def counted_progress(
    description: str, total: int, unit: str, shown: bool = True, already: int = 0
) -> Iterator[Callable[[], None]]:
    """Yields a function that is called when one more is done.

    Args:
        description: What the bar is about.
        total: How many there are.
        unit: What one of them is called.
        shown: Whether there is a bar at all.
        already: How many were done before, which say nothing of the time left.
    """
    lines = shown and not sys.stderr.isatty()
    hidden = lines or not shown
    bar = tqdm(total=total, initial=already, desc=description, unit=unit, dynamic_ncols=True, disable=hidden)
    interval, began, count = Interval(), time.monotonic(), already

    def done() -> None:
        nonlocal count
        count += 1
        bar.update()
        if lines and (count == total or interval.due()):
            left = tqdm.format_interval((time.monotonic() - began) / (count - already) * (total - count))
            text = f"{description}: {count / total:4.0%}, {count}/{total}, {left} left"
            print(text, file=sys.stderr, flush=True)

    with bar:
        yield done
