"""A benchmark as ``lit-coiba benchmark`` leaves it: its table, and the scores of every explanation."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lit_coiba.benchmark.saving import ABOUT
from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.explorer.page_data import Leaderboard, LeaderboardCell, Metric
from lit_coiba.files.digests import digest_of_file
from lit_coiba.files.given_path import given_path
from lit_coiba.files.regular import open_regular, read_text
from lit_coiba.store import ExplanationStore, Manifest
from lit_coiba.store.folder import is_store

VERB = "benchmark"
TABLE, SCORES = "leaderboard.csv", "scores.parquet"
ENERGY = ("energy", "energy_pointing")  # what the configs call the share of a map's energy on the object
_MOST = 1000  # methods or metrics of a table


class BenchmarkRun:
    """The table of a benchmark and its scores.

    Args:
        folder: Output folder of ``lit-coiba benchmark``.

    Raises:
        InputError: There is no table, or it is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = given_path(folder, "benchmark")
        self._table = self._read()
        entries = sorted(entry for entry in self.path.iterdir() if entry.is_dir() and is_store(entry))
        self.scores = {entry.name: ExplanationStore(entry) for entry in entries if entry.name in self._table.methods}

    @property
    def manifest(self) -> Manifest | None:
        """What decided the scores; None where only the table is there."""
        return next((store.manifest for store in self.scores.values()), None)

    @property
    def leaderboard(self) -> Leaderboard:
        """The table."""
        return self._table

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics."""
        return [metric.name for metric in self._table.metrics]

    @property
    def energy(self) -> str:
        """Name of the metric that is the share of a map's energy on the object; empty = not measured."""
        return next((name for name in self.metrics if name in ENERGY), "")

    def digest(self) -> str:
        """What changes when the table does."""
        return digest_of_file(self.path / TABLE)

    def of(self, method: str, sample: str, target: int) -> dict[str, float | None]:
        """Scores of an explanation by metric; empty where it has none."""
        store = self.scores.get(method)
        if store is None or (sample, target) not in store:
            return {}
        extras = store[sample, target].extras
        found = {name: float(extras[name]) for name in self.metrics if name in extras and extras[name].numel() == 1}
        return {name: value if math.isfinite(value) else None for name, value in found.items()}

    def _read(self) -> Leaderboard:
        try:
            text = read_text(self.path / TABLE, "benchmark")
            rows = list(csv.DictReader(io.StringIO(text), strict=True))
            methods = list(dict.fromkeys(row["method"] for row in rows))[:_MOST]
            metrics = list(dict.fromkeys(row["metric"] for row in rows))[:_MOST]
            cells = {(row["method"], row["metric"]): _cell(row) for row in rows}
        except (ValueError, LookupError, TypeError, csv.Error) as error:
            if isinstance(error, InputError) and not (self.path / TABLE).exists():
                raise InputError(
                    f"{printable(self.path, 200)} has no table: run lit-coiba benchmark to its end, or give another"
                    " folder"
                ) from error
            raise InputError(
                f"benchmark: {printable(self.path / TABLE, 200)} is damaged: run lit-coiba benchmark again"
            ) from error
        higher = self._higher()
        return Leaderboard(
            name=printable(self.path.name, 80),
            metrics=tuple(Metric(name, higher.get(name)) for name in metrics),
            methods=tuple(methods),
            cells=tuple(tuple(cells.get((method, metric)) for metric in metrics) for method in methods),
        )

    def _higher(self) -> dict[str, bool | None]:
        """Whether more is better, by metric; nothing where the scores do not say."""
        try:
            with open_regular(self.path / SCORES) as source:
                told = (pq.read_schema(source).metadata or {}).get(ABOUT.encode(), b"{}")
            found = json.loads(told).get("higher")
        except (OSError, ValueError, AttributeError, pa.ArrowException, RecursionError):
            return {}
        plain = found.items() if isinstance(found, dict) else ()
        return {name: more for name, more in plain if more is None or isinstance(more, bool)}


def _cell(row: dict[str, str]) -> LeaderboardCell | None:
    mean, low, high = (float(row[name]) for name in ("mean", "low", "high"))
    if not math.isfinite(mean):
        return None
    return LeaderboardCell(mean, low, high, int(row["samples"]), int(row["rank"]), row["leads"] == "True")
