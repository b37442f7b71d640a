"""A bar on stderr for what takes long with a large store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Tell = Callable[[int, int], None]  # called with what is done, and the total


def silent(done: int, total: int) -> None:
    """Report no progress."""


@contextmanager
def progress_bar(description: str, shown: bool) -> Iterator[Tell]:
    """A bar, and what moves it; it stays when all is done.

    Args:
        description: Text beside the bar.
        shown: False = no bar.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
