"""Tables of several models side by side: the same methods and metrics, a column for each model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from lit_coiba.benchmark.leaderboard import Leaderboard
from lit_coiba.benchmark.ranking import FEWEST
from lit_coiba.benchmark.saving import ABOUT
from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import counted, listed, markdown_cell, printable
from lit_coiba.files.json_text import decode_json
from lit_coiba.files.regular import clause

COLUMNS = {"method", "metric", "id", "target", "score"}


def read_board(folder: Path) -> Leaderboard:
    """The table that `Trainer.benchmark` wrote to a folder, from the scores of all samples.

    Raises:
        InputError: There is none.
    """
    file = folder / "scores.parquet"
    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        why = clause(error) if isinstance(error, OSError) else "it is no Parquet file"
        raise InputError(
            f"{printable(file, 200)} cannot be read ({why}): give folders that benchmark or compare wrote scores to"
        ) from error
    if missing := sorted(COLUMNS - set(table.column_names)):
        raise InputError(f"{printable(file, 200)} has no column {missing[0]}: give folders that benchmark wrote")
    scores: dict[str, dict[str, list[float]]] = {}
    keys: dict[tuple[str, int], None] = {}
    for piece in table.to_batches(max_chunksize=65_536):
        names, metrics = piece["method"].to_pylist(), piece["metric"].to_pylist()
        values = piece["score"].to_pylist()
        for method, metric, value in zip(names, metrics, values):
            scores.setdefault(method, {}).setdefault(metric, []).append(math.nan if value is None else value)
        keys |= dict.fromkeys(zip(piece["id"].to_pylist(), piece["target"].to_pylist()))
    tensors = {m: {k: torch.tensor(v, dtype=torch.float64) for k, v in found.items()} for m, found in scores.items()}
    about = decode_json((table.schema.metadata or {}).get(ABOUT.encode(), b"{}"), dict[str, Any])
    higher = {str(name): value for name, value in dict(about.get("higher") or {}).items() if value in (True, False)}
    left_out = frozenset(map(str, about.get("left out") or ())) & tensors.keys()
    return Leaderboard(tensors, higher=higher, keys=tuple(keys), left_out=left_out)


def boards_of(folders: Sequence[str]) -> dict[str, Leaderboard]:
    """Name of the model -> its table: the folder's name, or that of the folder above where it is called ``scores``.

    Raises:
        InputError: No folder, two of one name, or one without scores.
    """
    if not folders:
        raise InputError("give at least one folder that benchmark or compare wrote scores to")
    found: dict[str, Leaderboard] = {}
    for given in folders:
        path = Path(given)
        path = path / "scores" if (path / "scores" / "scores.parquet").exists() else path
        name = path.resolve().parent.name if path.name == "scores" else path.resolve().name
        if name in found:
            raise InputError(f"two folders are called {printable(name, 80)}: rename one, as names tell models apart")
        found[name] = read_board(path)
    return found


def across(boards: Mapping[str, Leaderboard], metrics: Sequence[str] = ()) -> str:
    """Methods by models in Markdown, a table for each metric, and how far models agree about the methods.

    Args:
        boards: Name of the model -> table.
        metrics: Metrics that are shown; empty = those that all models have.

    Raises:
        InputError: A metric that no model has.
    """
    every = list(dict.fromkeys(metric for board in boards.values() for metric in board.metrics))
    if unknown := [name for name in metrics if name not in every]:
        raise InputError(f"metrics: {printable(unknown[0], 80)} is in none of the tables, which have {listed(every)}")
    shown = list(metrics) or [name for name in every if all(name in board.metrics for board in boards.values())]
    return "\n".join(_section(metric, boards) for metric in shown)


def _section(metric: str, boards: Mapping[str, Leaderboard]) -> str:
    models = [name for name, board in boards.items() if metric in board.metrics]
    methods = list(dict.fromkeys(method for name in models for method in boards[name].scores))
    rows = ["| method | " + " | ".join(map(markdown_cell, models)) + " |", "|---|" + "--:|" * len(models)]
    for method in methods:
        cells = [boards[name].cells().get((method, metric)) for name in models]
        told = []
        for cell in cells:
            if cell is None or math.isnan(cell.mean):
                told.append("-")
                continue
            text = f"{cell.mean:.3f} ({cell.low:.3f} to {cell.high:.3f})"
            told.append(f"**{text}**" if cell.leads else text)
        rows.append(f"| {markdown_cell(method)} | " + " | ".join(told) + " |")
    words = {True: "higher is better", False: "lower is better", None: ""}
    better = words[boards[models[0]].higher.get(metric)]
    heading = f"### {markdown_cell(metric.replace('_', ' '))}{', ' if better else ''}{better}"
    return f"{heading}\n\n" + "\n".join(rows) + f"\n{_models_agree(metric, boards, models)}\n"


def _models_agree(metric: str, boards: Mapping[str, Leaderboard], models: Sequence[str]) -> str:
    """Kendall's tau between the rankings of two models each, as a line; empty where there are too few methods."""
    from scipy.stats import kendalltau  # takes a second

    found = []
    for place, one in enumerate(models):
        for other in models[place + 1 :]:
            cells = boards[one].cells(), boards[other].cells()
            shared = [m for m in boards[one].scores if m not in boards[one].left_out and m in boards[other].scores]
            pairs = [(cells[0][m, metric].mean, cells[1][m, metric].mean) for m in shared]
            pairs = [pair for pair in pairs if all(map(math.isfinite, pair))]
            if len(pairs) >= FEWEST:
                tau = float(kendalltau(*zip(*pairs)).statistic)
                methods = counted(len(pairs), "method")
                found.append(f"{markdown_cell(one)} and {markdown_cell(other)} {tau:.2f} ({methods})")
    return f"\nKendall's tau between models: {listed(found, 10)}.\n" if found else ""
