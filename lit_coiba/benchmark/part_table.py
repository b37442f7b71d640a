"""The table of an evaluation by parts: a row per method, a column per score of the FunnyBirds protocol."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lit_coiba.core.printable import counted, csv_cell, markdown_cell, printable
from lit_coiba.files.atomic import atomically
from lit_coiba.files.owned import begins, check_own_file
from lit_coiba.functional.intervals import Interval
from lit_coiba.functional.part_evaluation import part_thresholds
from lit_coiba.functional.part_scores import AT_THRESHOLDS, SINGLE, PartScores, part_scores
from lit_coiba.store import ExplanationStore

# The files of a table, and how they begin: under these names nothing else is replaced.
TABLES = {"parts.md": begins("| method |"), "parts.csv": begins("method,score,")}
COLUMNS = {  # heading -> score
    "Acc": "accuracy",
    "BI": "background",
    "CSDC": "csdc",
    "PC": "pc",
    "DC": "dc",
    "D": "distractibility",
    "SD": "sd",
    "TS": "ts",
    "Com": "completeness",
    "Cor": "correctness",
    "Con": "contrastivity",
    "overall": "overall",
}
_NOT_SHOWN = ("accuracy", "background", "correctness", "contrastivity")  # of the model, or the same as another
_NOTE = (
    "FunnyBirds protocol (Hesse et al., 2023, arXiv 2308.06248): accuracy and background independence of the model;"
    " controlled synthetic data check, preservation and deletion check and distractibility at the threshold t that is"
    " best for the method; single deletion; target sensitivity; completeness Com = (mean of CSDC, PC, DC + D) / 2,"
    " correctness Cor = SD, contrastivity Con = TS, overall their mean. 95% bootstrap intervals over images. Maps whose"
    " sum is not positive break the rule of the threshold, and are counted; TS leaves out images on which the model"
    " does not tell the two classes apart."
)


class PartRow(NamedTuple):
    """One method."""

    scores: PartScores
    images: int
    not_positive: int  # images whose map of the label has a sum that is not positive
    contrasted: int  # images with a target sensitivity


@dataclass(frozen=True)
class PartTable:
    """Scores of methods by the FunnyBirds protocol; more is better in every column.

    Args:
        rows: Name -> scores.
    """

    rows: Mapping[str, PartRow] = field(default_factory=dict)

    @classmethod
    def of(cls, stores: Mapping[str, ExplanationStore]) -> PartTable:
        """Read the scores that `Trainer.parts` wrote, by name; a store without any has no row."""
        found = {name: _row(store) for name, store in stores.items()}
        return cls({name: row for name, row in found.items() if row is not None})

    def markdown(self) -> str:
        """The table in Markdown, with what the numbers are."""
        lines = [["method", *COLUMNS, "t", "images", "sum <= 0", "for TS"]]
        lines.append(["---", *["--:"] * (len(lines[0]) - 1)])
        for name, row in self.rows.items():
            cells = [_wide(getattr(row.scores, score)) for score in COLUMNS.values()]
            counts = [f"{row.scores.threshold:.3f}", *map(str, row[1:])]
            lines.append([markdown_cell(name), *cells, *counts])
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"{table}\n\n{_NOTE}\n"

    def __str__(self) -> str:
        """The table in Markdown."""
        return self.markdown()

    _repr_markdown_ = markdown

    def show(self, console: Console) -> None:
        """Print the means of what the methods differ in; the intervals, and the rest, are in the files."""
        table = Table(box=SIMPLE)
        shown = {name: score for name, score in COLUMNS.items() if score not in _NOT_SHOWN}
        for place, name in enumerate(["method", *shown]):
            table.add_column(name, justify="right" if place else "left", overflow="fold")
        for name, row in self.rows.items():
            means = [getattr(row.scores, score).mean for score in shown.values()]
            table.add_row(escape(printable(name)), *("-" if mean != mean else f"{mean:.2f}" for mean in means))
        console.print(table)
        for name, row in self.rows.items():
            told = (
                f"{printable(name)}: {counted(row.images, 'image')}, accuracy {row.scores.accuracy.mean:.2f},"
                f" background independence {row.scores.background.mean:.2f}, threshold {row.scores.threshold:.3f},"
                f" {counted(row.not_positive, 'map')} without a positive sum"
            )
            console.print(escape(told), highlight=False, soft_wrap=True)

    def save(self, folder: Path) -> list[Path]:
        """Write ``parts.md`` and ``parts.csv``; the files.

        Raises:
            InputError: Something else has their names.
        """
        check_part_tables(folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(["method", "score", *Interval._fields, "threshold", "images", "sum_not_positive", "contrasted"])
        for name, row in self.rows.items():
            for score in COLUMNS.values():
                writer.writerow([csv_cell(name), score, *getattr(row.scores, score), row.scores.threshold, *row[1:]])
        for file, content in zip(TABLES, (self.markdown(), text.getvalue())):
            with atomically(folder / file) as out:
                out.write(content.encode())
        return [folder / name for name in TABLES]


def check_part_tables(folder: Path) -> None:
    """Refuse a folder in which something else has the name of a table.

    Raises:
        InputError: It has.
    """
    for name, ours in TABLES.items():
        check_own_file(folder / name, "output", ours)


def _row(store: ExplanationStore) -> PartRow | None:
    rows = list(store)
    if not rows:
        return None
    names = (*AT_THRESHOLDS, *SINGLE, "objects", "sum_not_positive")
    samples = {name: torch.stack([row.extras[name] for row in rows]) for name in names}
    not_positive = int(samples.pop("sum_not_positive").sum())
    contrasted = int((~samples["ts"].isnan()).sum())
    return PartRow(part_scores(samples, part_thresholds()), len(rows), not_positive, contrasted)


def _wide(found: Interval) -> str:
    return "-" if found.mean != found.mean else f"{found.mean:.3f} ({found.low:.3f} to {found.high:.3f})"
