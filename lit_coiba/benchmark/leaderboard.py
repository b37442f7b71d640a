"""The table of a benchmark: a row per method, a column per metric, with paired bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from torch import Tensor

from lit_coiba.benchmark import plots, saving, table
from lit_coiba.benchmark.ranking import Agreement, Cell, Place, agreement, places
from lit_coiba.benchmark.references import ORACLE, REFERENCE
from lit_coiba.core.printable import printable
from lit_coiba.functional import paired_intervals
from lit_coiba.metrics.batch import TakenBaseline
from lit_coiba.metrics.faithfulness.curve import CURVE
from lit_coiba.store import ExplanationStore

if TYPE_CHECKING:
    import pandas

TITLE = "Which explanation to believe"
# Where both are measured. As a rule their baselines differ: it is not the symmetric relevance gain, nor called so.
DIFFERENCE = "insertion - deletion"


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
        left_out: Rows that are no explanations: the oracle and trivial baselines.
        curves: metric -> method -> mean and standard error of its curve, ``(2, points)``.
        settings: method -> its arguments, for TensorBoard.
        baselines: metric -> what takes the place of removed parts.
    """

    scores: Mapping[str, Mapping[str, Tensor]]
    reference: str = REFERENCE
    seed: int = 0
    higher: Mapping[str, bool | None] = field(default_factory=dict)
    keys: Sequence[tuple[str, int]] = ()
    pending: int = 0
    left_out: frozenset[str] = frozenset()
    curves: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    baselines: Mapping[str, TakenBaseline] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        stores: Mapping[str, ExplanationStore],
        metrics: Mapping[str, bool | None],
        reference: str = REFERENCE,
        asked: int | None = None,
        left_out: frozenset[str] = frozenset(),
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        baselines: Mapping[str, TakenBaseline] | None = None,
    ) -> Leaderboard:
        """Read the scores that `Trainer.benchmark` wrote; samples that one of the methods lacks are left out.

        Args:
            stores: Scores by method.
            metrics: Name of each column, in order -> whether more is better; None = neither.
            reference: The method that the others are compared with.
            asked: Number of explanations of each method that were to be scored; None: as many as there are.
            left_out: Rows that are no explanations.
            settings: method -> its arguments.
            baselines: metric -> what takes the place of removed parts.
        """
        shared = set.intersection(*(set(store.keys()) for store in stores.values()))
        keys, scores = sorted(shared), dict[str, dict[str, Tensor]]()
        curves: dict[str, dict[str, Tensor]] = {}
        numbers = {key: number for number, key in enumerate(keys)}
        for name, store in stores.items():
            scores[name], found = _read(store, list(metrics), numbers)
            if {"insertion", "deletion"} <= metrics.keys() and DIFFERENCE not in metrics:
                scores[name][DIFFERENCE] = scores[name]["insertion"] - scores[name]["deletion"]
            for metric, points in found.items():
                curves.setdefault(metric, {})[name] = _band(points)
        higher = {DIFFERENCE: True, **metrics}
        pending = max(0, (asked or 0) - len(keys))
        rows = left_out & scores.keys()
        return cls(scores, reference, 0, higher, keys, pending, rows, curves, settings or {}, baselines or {})

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
        columns = [(method, m) for method, found in self.scores.items() for m in self.metrics if m in found]
        if not columns:
            return {}
        base = self.scores.get(self.reference, {})
        values = [self.scores[method][metric] for method, metric in columns]
        gains = [v - base.get(metric, torch.full_like(v, torch.nan)) for v, (_, metric) in zip(values, columns)]
        found = paired_intervals(torch.stack([*values, *gains], 1), seed=self.seed)
        counts = [int((~v.isnan()).sum()) for v in values]
        ranked = self._ranked
        pairs = zip(columns, found[: len(columns)], counts, found[len(columns) :])
        return {at: Cell(*mean, count, *gain, *ranked.get(at, (0, False))) for at, mean, count, gain in pairs}

    @cached_property
    def _ranked(self) -> dict[tuple[str, str], Place]:
        """(method, metric) -> its place among all rows but the oracle."""
        methods = [name for name in self.scores if name != ORACLE]
        return {
            (method, metric): place
            for metric in self.metrics
            if (more := self.higher.get(metric)) is not None
            for method, place in places(self.scores, metric, more, methods, self.seed).items()
        }

    @cached_property
    def agreement(self) -> Agreement:
        """How far the metrics agree about the methods."""
        return agreement(self.scores, {name: self.higher.get(name) for name in self.metrics}, self.left_out)

    @property
    def difference(self) -> str:
        """Name of the column that is insertion less deletion."""
        return DIFFERENCE

    def markdown(self) -> str:
        """The table in Markdown, with what it says about itself."""
        return table.markdown(self)

    def note(self, shown: Callable[[str], str] = printable) -> str:
        """What the numbers are; `shown` is how a name is written."""
        return table.note(self, shown)

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
        table.show(self, console, title)

    def draw(self, folder: Path) -> list[Path]:
        """Draw means with intervals, agreement of metrics, critical differences, profiles and curves; the files."""
        return plots.draw(self, folder)

    def save(self, folder: Path) -> list[Path]:
        """Write the table, its numbers, and the scores of all samples; the files.

        Raises:
            InputError: Something else has their names.
        """
        return saving.save(self, folder)


def _read(
    store: ExplanationStore, metrics: Sequence[str], numbers: Mapping[tuple[str, int], int]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Scores ``(n,)`` by metric, and curves ``(n, points)`` by metrics that have one everywhere; row by row.

    Args:
        store: Scores of one method.
        metrics: Names of the columns.
        numbers: (id, target) -> its number among the n.
    """
    scores = {metric: torch.full((len(numbers),), torch.nan) for metric in metrics}
    curves, counts = dict[str, Tensor](), dict.fromkeys(metrics, 0)
    for row in store:
        if (number := numbers.get((row.id, row.target))) is None:
            continue
        for metric in metrics:
            scores[metric][number] = row.extras[metric]
            if (points := row.extras.get(metric + CURVE)) is not None:
                if metric not in curves:
                    curves[metric] = points.new_empty(len(numbers), len(points))
                curves[metric][number] = points
                counts[metric] += 1
    whole = {metric: points for metric, points in curves.items() if counts[metric] == len(numbers)}
    return {metric: values.double() for metric, values in scores.items()}, whole


def _band(curves: Tensor) -> Tensor:
    """Mean and standard error of curves ``(n, points)`` that are defined, ``(2, points)``."""
    defined = curves[~curves.isnan().any(1)].double()
    error = defined.std(0) / math.sqrt(len(defined)) if len(defined) > 1 else torch.zeros_like(curves[0]).double()
    return torch.stack([defined.mean(0), error])
