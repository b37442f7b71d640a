"""The files of a benchmark: table, numbers, scores of every sample, pictures, and TensorBoard's table of runs."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from lit_coiba.benchmark.plots import PICTURES
from lit_coiba.benchmark.ranking import Cell
from lit_coiba.core.printable import csv_cell, printable
from lit_coiba.files.atomic import atomically
from lit_coiba.files.owned import begins, check_own_file
from lit_coiba.files.png import is_our_png

if TYPE_CHECKING:
    from lit_coiba.benchmark.leaderboard import Leaderboard

EVENTS = "tensorboard"  # folder of the runs, one for each method
ABOUT = "lit-coiba"  # key of what scores.parquet says about its columns
_MARK = ".lit-coiba"  # how the names of event files end that are replaced
# The files of a table, and how they begin: under these names nothing else is replaced.
TABLES = {
    "leaderboard.md": begins("| method |"),
    "leaderboard.csv": begins("method,metric,"),
    "agreement.csv": begins("metric,"),
    "scores.parquet": begins("PAR1"),
    **dict.fromkeys(PICTURES, is_our_png),
}


def check_tables(folder: Path) -> None:
    """Refuse a folder in which something else has the name of a table.

    Raises:
        InputError: It has.
    """
    for name, ours in TABLES.items():
        check_own_file(folder / name, "output", ours)


def save(board: Leaderboard, folder: Path) -> list[Path]:
    """Write what there is to say of a table; the files, the table and its numbers first.

    Args:
        board: The table.
        folder: Folder of the files.

    Raises:
        InputError: Something else has their names.
    """
    check_tables(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / name for name in ("leaderboard.md", "leaderboard.csv")]
    with atomically(files[0]) as out:
        out.write(board.markdown().encode())
    with written_csv(files[1]) as writer:
        writer.writerow(["method", "metric", *Cell._fields, "reference"])
        for (method, metric), cell in board.cells().items():
            writer.writerow([csv_cell(method), csv_cell(metric), *cell, csv_cell(board.reference)])
    return [*files, *_agreement(board, folder), _samples(board, folder)]


def log_runs(board: Leaderboard, folder: Path) -> None:
    """One run a method for TensorBoard's page of hyperparameters: arguments of the method, means of the metrics."""
    from torch.utils.tensorboard import SummaryWriter  # takes a second
    from torch.utils.tensorboard.summary import hparams

    place = folder / EVENTS
    for old in place.glob(f"*/events.out.tfevents.*{_MARK}"):
        old.unlink(missing_ok=True)
        with suppress(OSError):  # it has something else
            old.parent.rmdir()
    for number, (method, settings) in enumerate(board.settings.items()):
        means = {metric: cell.mean for (row, metric), cell in board.cells().items() if row == method}
        plain = {
            printable(key, 100): value if isinstance(value, (bool, int, float)) else printable(value, 100)
            for key, value in settings.items()
        }
        name = "".join(c if c.isalnum() or c in "._-" else "_" for c in method)
        with SummaryWriter(str(place / f"{number:02}_{name}"), filename_suffix=_MARK) as writer:
            known = {f"score/{printable(k)}": v for k, v in means.items() if not math.isnan(v)}
            for summary in hparams({**plain, "method": printable(method, 100)}, known):  # into this very file
                writer.file_writer.add_summary(summary)
            for metric, mean in known.items():
                writer.add_scalar(metric, mean)


def _agreement(board: Leaderboard, folder: Path) -> list[Path]:
    """Kendall's tau between metrics, where there is one."""
    found, file = board.agreement, folder / "agreement.csv"
    if not found.metrics:
        return []
    with written_csv(file) as writer:
        writer.writerow(["metric", *map(csv_cell, found.metrics)])
        for name, row in zip(found.metrics, found.tau):
            writer.writerow([csv_cell(name), *row])
    return [file]


def _samples(board: Leaderboard, folder: Path) -> Path:
    """Every score: a row for each method, metric, id and target; written a method at a time."""
    file = folder / "scores.parquet"
    names = {"method": pa.string(), "metric": pa.string(), "id": pa.string()}
    about = json.dumps({"higher": dict(board.higher), "left out": sorted(board.left_out)})
    schema = pa.schema({**names, "target": pa.int32(), "score": pa.float64()}, metadata={ABOUT: about})
    ids, targets = [name for name, _ in board.keys], [target for _, target in board.keys]
    with atomically(file) as out, pq.ParquetWriter(out, schema) as writer:
        for method, found in board.scores.items():
            for metric, values in found.items():
                if len(values) == len(ids):
                    columns = [[method] * len(ids), [metric] * len(ids), ids, targets, values.double().tolist()]
                    writer.write_table(pa.table(columns, schema=schema))
    return file


@contextmanager
def written_csv(file: Path) -> Iterator[Any]:
    """A CSV file, put in place as a whole."""
    with atomically(file) as out, _text_of(out) as text:
        yield csv.writer(text)


@contextmanager
def _text_of(file: BinaryIO) -> Iterator[TextIO]:
    """Text in a binary file, which stays open."""
    text = TextIOWrapper(file, encoding="utf-8", newline="")
    yield text
    text.flush()
    text.detach()
