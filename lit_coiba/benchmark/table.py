"""A leaderboard as text: for the console, in Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from lit_coiba.core.printable import counted, listed, markdown_cell, printable

if TYPE_CHECKING:
    from lit_coiba.benchmark.leaderboard import Leaderboard
    from lit_coiba.benchmark.ranking import Cell

ARROWS = {None: "", True: " \u2191", False: " \u2193"}  # more is better, less is better
WORDS = {None: "", True: " (higher)", False: " (lower)"}  # the same where an encoding has no arrows
PLUS_MINUS = "\u00b1"
_NARROW = 40  # characters of a terminal below which lines are left to it
_UNBOUNDED = 10_000  # characters: the narrowest that a table can be does not depend on the terminal
_SHOWN = 3  # pairs of metrics that are told to disagree
DISAGREE = 0.3  # Kendall's tau below which two metrics are told to disagree


def lines(
    board: Leaderboard,
    text: Callable[[Cell], str],
    shown: Callable[[str], str] = printable,
    arrows: Mapping[bool | None, str] = ARROWS,
) -> Iterator[list[str]]:
    """The table as text: headings, then a line per method.

    Args:
        board: The table.
        text: How a cell is written.
        shown: How a name is written.
        arrows: What says whether more is better.
    """
    cells = board.cells()
    yield ["method", *(shown(name) + arrows[board.higher.get(name)] for name in board.metrics)]
    for method in board.scores:
        found = [cells.get((method, metric)) for metric in board.metrics]
        yield [shown(method), *("-" if cell is None or math.isnan(cell.mean) else text(cell) for cell in found)]


def markdown(board: Leaderboard) -> str:
    """The table in Markdown, with what it says about itself and about its metrics."""
    head, *body = lines(board, _marked, markdown_cell)
    rows = [head, ["---", *["--:"] * len(board.metrics)], *body]
    told = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{told}\n\n{board.note(markdown_cell)}\n{_agreement(board)}"


def note(board: Leaderboard, shown: Callable[[str], str] = printable) -> str:
    """What the numbers are; `shown` is how a name is written."""
    size = next((len(v) for found in board.scores.values() for v in found.values()), 0)
    told = (
        f"Mean over {counted(size, 'explanation')} with its 95% bootstrap interval; * = differs from"
        f" {shown(board.reference)} on the same samples (95% interval of the paired difference)."
    )
    if board.pending:
        more = "1 more is" if board.pending == 1 else f"{board.pending:,} more are"
        told += f" {more} not scored by all: of another shard, or of images that failed."
    told += _baselines(board, shown)
    if undefined := [name for name in board.higher if name not in board.metrics and name != board.difference]:
        told += (
            f" Not computed: {', '.join(map(shown, undefined))}. Metrics of localization need boxes or masks, such"
            " as --data.csv with x_min, y_min, x_max, y_max."
        )
    return told


def show(board: Leaderboard, console: Console, title: str) -> None:
    """Print the table: a terminal of 80 characters is wide enough for five metrics; a narrower one gets a list.

    Args:
        board: The table.
        console: Console to print to.
        title: Title of the table.
    """
    plain = not _encodes(console.encoding, "".join(map(str, ARROWS.values())) + PLUS_MINUS)
    head, *body = lines(board, _ascii if plain else _narrow, arrows=WORDS if plain else ARROWS)
    table = Table(box=SIMPLE)
    for place, name in enumerate(head):
        table.add_column(escape(name.replace("_", " ")), justify="right" if place else "left", overflow="fold")
    for row in body:
        table.add_row(*map(escape, row))
    narrow = console.width < _NARROW
    console.print(f"[bold]{escape(printable(title))}[/bold]", highlight=False, soft_wrap=narrow)
    if Measurement.get(console, console.options.update(width=_UNBOUNDED), table).minimum <= console.width:
        console.print(table)
    else:
        for method, *cells in body:
            console.print(escape(method), highlight=False, soft_wrap=True)
            for name, cell in zip(head[1:], cells):
                line = f"  {name.replace('_', ' ')}: {' '.join(cell.split())}"
                console.print(escape(line), highlight=False, soft_wrap=True)
    console.print(escape(board.note()), highlight=False, soft_wrap=narrow)


def _baselines(board: Leaderboard, shown: Callable[[str], str]) -> str:
    """What metrics that chose a baseline themselves took, and which ones the difference is of."""
    taken = board.baselines
    told = "".join(f" {shown(name)}: baseline auto = {one.taken}." for name, one in taken.items() if one.automatic)
    both = [taken[name].taken for name in ("insertion", "deletion") if name in taken]
    if board.difference in board.metrics and len(both) == 2:
        told += f" {board.difference} has the baselines {both[0]} and {both[1]}"
        told += "." if both[0] == both[1] else ": it is not the symmetric relevance gain (SRG), which has one."
    return told


def _agreement(board: Leaderboard) -> str:
    """What bold means, and which metrics disagree about the methods, in Markdown; empty where too little is known."""
    told = (
        "Bold: no other method but the oracle is better (paired 95% interval, without correction for the number of"
        " comparisons)."
    )
    pairs = board.agreement.pairs()
    if not pairs:
        return f"\n{told}\n" if any(cell.leads for cell in board.cells().values()) else ""
    worst = [pair for pair in pairs if pair[0] < DISAGREE][:_SHOWN]
    mean = sum(pair[0] for pair in pairs) / len(pairs)
    told += (
        f" Kendall's tau between two metrics' rankings of the {len(board.agreement.methods)} methods that"
        f" are no trivial baselines is {mean:.2f} on average over {counted(len(pairs), 'pair')}."
    )
    if worst:
        clashes = [f"{markdown_cell(one)} and {markdown_cell(other)} ({tau:.2f})" for tau, one, other in worst]
        told += f" Those that agree least: {listed(clashes)}."
    return f"\n{told}\n"


def _marked(cell: Cell) -> str:
    return f"**{_wide(cell)}**" if cell.leads else _wide(cell)


def _wide(cell: Cell) -> str:
    return f"{cell.mean:.3f} ({cell.low:.3f} to {cell.high:.3f}){'*' if cell.differs else ''}"


def _narrow(cell: Cell) -> str:
    """On two lines, for a terminal of 80 characters: the mean, and half the width of its interval."""
    return f"{cell.mean:.3f}{'*' if cell.differs else ' '}\n{PLUS_MINUS}{(cell.high - cell.low) / 2:.3f} "


def _ascii(cell: Cell) -> str:
    return _narrow(cell).replace(PLUS_MINUS, "+-")


def _encodes(encoding: str, text: str) -> bool:
    """Whether an encoding has all the characters of a text."""
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
