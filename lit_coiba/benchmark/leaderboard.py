"""The table of a benchmark: a row per method, a column per metric, with paired bootstrap intervals."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TextIO

import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from torch import Tensor

from lit_coiba.benchmark.references import REFERENCE
from lit_coiba.core.printable import counted, csv_cell, markdown_cell, printable
from lit_coiba.files.atomic import atomically
from lit_coiba.files.owned import begins, check_own_file
from lit_coiba.functional import paired_intervals
from lit_coiba.store import ExplanationStore

if TYPE_CHECKING:
    import pandas

ARROWS = {None: "", True: " \u2191", False: " \u2193"}  # more is better, less is better
WORDS = {None: "", True: " (higher)", False: " (lower)"}  # the same where an encoding has no arrows
PLUS_MINUS = "\u00b1"
_NARROW = 40  # characters of a terminal below which lines are left to it
_UNBOUNDED = 10_000  # characters: the narrowest that a table can be does not depend on the terminal
TITLE = "Which explanation to believe"
# Where both are measured. Their baselines differ, so this is not the symmetric relevance gain, and not called so.
DIFFERENCE = "insertion - deletion"
# The files of a table, and how they begin: under these names nothing else is replaced.
TABLES = {"leaderboard.md": begins("| method |"), "leaderboard.csv": begins("method,metric,")}


class Cell(NamedTuple):
    """One method by one metric."""

    mean: float
    low: float  # of the interval of the mean
    high: float
    samples: int  # with a defined score
    gain: float  # mean difference to the reference, over the same samples
    gain_low: float
    gain_high: float

    @property
    def differs(self) -> bool:
        """Whether the interval of the difference leaves out 0."""
        return self.gain_low > 0 or self.gain_high < 0


@dataclass(frozen=True)
class Leaderboard:
    """Scores of several methods on the same samples.

    Args:
        scores: method -> metric -> one score per sample ``(n,)``, in the same order everywhere; NaN = undefined.
        reference: The method that the others are compared with.
        seed: Seed of the bootstrap, whose draws all methods and metrics share, so that differences are paired.
        higher: metric -> whether more is better; None = neither.
        keys: (id, target) of each score.
        pending: Explanations that have no scores yet, of some method.
    """

    scores: Mapping[str, Mapping[str, Tensor]]
    reference: str = REFERENCE
    seed: int = 0
    higher: Mapping[str, bool | None] = field(default_factory=dict)
    keys: Sequence[tuple[str, int]] = ()
    pending: int = 0

    @classmethod
    def of(
        cls,
        stores: Mapping[str, ExplanationStore],
        metrics: Mapping[str, bool | None],
        reference: str = REFERENCE,
        asked: int | None = None,
    ) -> Leaderboard:
        """Read the scores that `Trainer.benchmark` wrote; samples that one of the methods lacks are left out.

        Args:
            stores: Scores by method.
            metrics: Name of each column, in order -> whether more is better; None = neither.
            reference: The method that the others are compared with.
            asked: Number of explanations of each method that were to be scored; None: as many as there are.
        """
        shared = set.intersection(*(set(store.keys()) for store in stores.values()))
        keys, scores = sorted(shared), dict[str, dict[str, Tensor]]()
        for name, store in stores.items():
            rows = {(row.id, row.target): row.extras for row in store if (row.id, row.target) in shared}
            found = {m: torch.tensor([float(rows[key][m]) for key in keys]).double() for m in metrics}
            if {"insertion", "deletion"} <= found.keys() and DIFFERENCE not in found:
                found[DIFFERENCE] = found["insertion"] - found["deletion"]
            scores[name] = found
        higher = {DIFFERENCE: True, **metrics}
        return cls(scores, reference, higher=higher, keys=keys, pending=max(0, (asked or 0) - len(keys)))

    @property
    def metrics(self) -> list[str]:
        """Columns that are defined for some sample."""
        names = dict.fromkeys(name for found in self.scores.values() for name in found)
        return [n for n in names if any(n in f and not f[n].isnan().all() for f in self.scores.values())]

    def cells(self) -> dict[tuple[str, str], Cell]:
        """(method, metric) -> its cell."""
        return self._cells

    @cached_property
    def _cells(self) -> dict[tuple[str, str], Cell]:
        """Bootstrapped once, for the console, Markdown and CSV."""
        places = [(method, m) for method, found in self.scores.items() for m in self.metrics if m in found]
        if not places:
            return {}
        base = self.scores.get(self.reference, {})
        values = [self.scores[method][metric] for method, metric in places]
        gains = [v - base.get(metric, torch.full_like(v, torch.nan)) for v, (_, metric) in zip(values, places)]
        found = paired_intervals(torch.stack([*values, *gains], 1), seed=self.seed)
        counts = [int((~v.isnan()).sum()) for v in values]
        pairs = zip(places, found[: len(places)], counts, found[len(places) :])
        return {place: Cell(*mean, count, *gain) for place, mean, count, gain in pairs}

    def lines(
        self,
        text: Callable[[Cell], str],
        shown: Callable[[str], str] = printable,
        arrows: Mapping[bool | None, str] = ARROWS,
    ) -> Iterator[list[str]]:
        """The table as text: headings, then a line per method.

        Args:
            text: How a cell is written.
            shown: How a name is written.
            arrows: What says whether more is better.
        """
        cells = self.cells()
        yield ["method", *(shown(name) + arrows[self.higher.get(name)] for name in self.metrics)]
        for method in self.scores:
            found = [cells.get((method, metric)) for metric in self.metrics]
            yield [shown(method), *("-" if cell is None or math.isnan(cell.mean) else text(cell) for cell in found)]

    def markdown(self) -> str:
        """The table in Markdown, with what it says about itself."""
        head, *body = self.lines(_wide, markdown_cell)
        rows = [head, ["---", *["--:"] * len(self.metrics)], *body]
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        return f"{table}\n\n{self.note(markdown_cell)}\n"

    def note(self, shown: Callable[[str], str] = printable) -> str:
        """What the numbers are; `shown` is how a name is written."""
        size = next((len(v) for found in self.scores.values() for v in found.values()), 0)
        told = (
            f"Mean over {counted(size, 'explanation')} with its 95% bootstrap interval; * = differs from"
            f" {shown(self.reference)} on the same samples (95% interval of the paired difference)."
        )
        if self.pending:
            more = "1 more is" if self.pending == 1 else f"{self.pending:,} more are"
            told += f" {more} not scored by all: of another shard, or of images that failed."
        if undefined := [name for name in self.higher if name not in self.metrics and name != DIFFERENCE]:
            told += (
                f" Not computed: {', '.join(map(shown, undefined))}. Metrics of localization need boxes or masks, such"
                " as --data.csv with x_min, y_min, x_max, y_max."
            )
        return told

    def to_pandas(self) -> pandas.DataFrame:
        """All scores: a row per (id, target), a column per (method, metric)."""
        import pandas

        columns = {(method, m): v.numpy() for method, found in self.scores.items() for m, v in found.items()}
        names = pandas.MultiIndex.from_tuples(list(self.keys), names=["id", "target"]) if self.keys else None
        return pandas.DataFrame(columns, index=names)

    def __str__(self) -> str:
        """The table in Markdown; a notebook shows it drawn."""
        return self.markdown()

    _repr_markdown_ = markdown

    def show(self, console: Console, title: str = TITLE) -> None:
        """Print the table: a terminal of 80 characters is wide enough for five metrics; a narrower one gets a list.

        Args:
            console: Console to print to.
            title: Title of the table.
        """
        plain = not _encodes(console.encoding, "".join(map(str, ARROWS.values())) + PLUS_MINUS)
        head, *body = self.lines(_ascii if plain else _narrow, arrows=WORDS if plain else ARROWS)
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
        console.print(escape(self.note()), highlight=False, soft_wrap=narrow)

    def save(self, folder: Path) -> list[Path]:
        """Write ``leaderboard.md`` and ``leaderboard.csv``; the files.

        Raises:
            InputError: Something else has their names.
        """
        check_tables(folder)
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / name for name in TABLES]
        with atomically(files[0]) as out:
            out.write(self.markdown().encode())
        with atomically(files[1]) as out, _text_of(out) as text:
            writer = csv.writer(text)
            writer.writerow(["method", "metric", *Cell._fields, "reference"])
            for (method, metric), cell in self.cells().items():
                writer.writerow([csv_cell(method), csv_cell(metric), *cell, csv_cell(self.reference)])
        return files


def check_tables(folder: Path) -> None:
    """Refuse a folder in which something else has the name of a table.

    Raises:
        InputError: It has.
    """
    for name, ours in TABLES.items():
        check_own_file(folder / name, "output", ours)


@contextmanager
def _text_of(file: BinaryIO) -> Iterator[TextIO]:
    """Text in a binary file, which stays open."""
    text = TextIOWrapper(file, encoding="utf-8", newline="")
    yield text
    text.flush()
    text.detach()


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
