"""Who is ahead by each metric, with ties; and whether the metrics agree about it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.functional import paired_intervals

Scores = Mapping[str, Mapping[str, Tensor]]  # method -> metric -> a score per sample (n,)

FEWEST = 3  # methods between which an agreement of metrics says something


class Place(NamedTuple):
    """Where one method stands by one metric."""

    rank: int  # 1 + number of methods that are better, by the 95% interval of the paired difference
    leads: bool  # whether none is better, and some are worse


class Cell(NamedTuple):
    """One method by one metric."""

    mean: float
    low: float  # of the interval of the mean
    high: float
    samples: int  # with a defined score
    gain: float  # mean difference to the reference, over the same samples
    gain_low: float
    gain_high: float
    rank: int = 0  # 1 + number of methods that are significantly better, without the oracle; 0 = not ranked
    leads: bool = False  # whether there is none, and others are worse

    @property
    def differs(self) -> bool:
        """Whether the interval of the difference leaves out 0."""
        return self.gain_low > 0 or self.gain_high < 0


def places(scores: Scores, metric: str, higher: bool, methods: Sequence[str], seed: int = 0) -> dict[str, Place]:
    """Place of each method by one metric; methods between which there is no significant difference share a rank.

    The intervals are not corrected for the number of comparisons.

    Args:
        scores: All scores.
        metric: The metric.
        higher: Whether more is better.
        methods: Methods that are ranked against one another.
        seed: Seed of the bootstrap.
    """
    found = [name for name in methods if metric in scores[name] and not scores[name][metric].isnan().all()]
    if not found:
        return {}
    values = torch.stack([scores[name][metric] for name in found], 1) * (1 if higher else -1)
    better = dict.fromkeys(found, 0)
    if len(found) < 2:
        return {name: Place(1, False) for name in found}
    pairs = torch.combinations(torch.arange(len(found)))
    differences = values[:, pairs[:, 0]] - values[:, pairs[:, 1]]
    for (first, second), interval in zip(pairs.tolist(), paired_intervals(differences, seed=seed)):
        if interval.low > 0:
            better[found[second]] += 1
        elif interval.high < 0:
            better[found[first]] += 1
    some = max(better.values()) > 0
    return {name: Place(1 + count, some and count == 0) for name, count in better.items()}


class Agreement(NamedTuple):
    """Kendall's tau-b between the rankings of methods by pairs of metrics."""

    metrics: list[str]
    tau: list[list[float]]  # NaN where a metric has too few methods, or ranks all alike
    methods: list[str]  # that were ranked

    def pairs(self) -> list[tuple[float, str, str]]:
        """All pairs of metrics by their tau, those that disagree most first."""
        every = [
            (self.tau[i][k], one, self.metrics[k])
            for i, one in enumerate(self.metrics)
            for k in range(i + 1, len(self.metrics))
        ]
        return sorted(pair for pair in every if not math.isnan(pair[0]))


def agreement(scores: Scores, higher: Mapping[str, bool | None], left_out: Collection[str] = ()) -> Agreement:
    """How far metrics agree in how they rank methods by their means.

    Args:
        scores: All scores.
        higher: metric -> whether more is better; those that have no better are left out.
        left_out: Methods that are no explanations: the oracle and trivial baselines would make metrics look alike.
    """
    from scipy.stats import kendalltau  # takes a second

    methods = [name for name in scores if name not in left_out]
    means: dict[str, list[float]] = {}
    for metric, more in higher.items():
        found = [scores[name].get(metric, torch.tensor([math.nan])).nanmean().item() for name in methods]
        known = set(filter(math.isfinite, found))
        if more is not None and sum(map(math.isfinite, found)) >= FEWEST and len(known) > 1:
            means[metric] = [value if more else -value for value in found]
    names = list(means)

    def tau(one: list[float], other: list[float]) -> float:
        both = [(a, b) for a, b in zip(one, other) if math.isfinite(a) and math.isfinite(b)]
        return float(kendalltau(*zip(*both)).statistic) if len(both) >= FEWEST else math.nan

    return Agreement(names, [[tau(means[a], means[b]) for b in names] for a in names], methods)


def average_ranks_of(scores: Scores, metric: str, higher: bool, methods: Sequence[str]) -> tuple[dict[str, float], int]:
    """Mean rank of each method over the samples for which all are defined, 1 = best, and how many samples these are."""
    from lit_coiba.functional.correlation import average_ranks

    values = torch.stack([scores[name][metric] for name in methods], 1) * (-1 if higher else 1)
    values = values[~values.isnan().any(1)]
    if not len(values):
        return {}, 0
    return dict(zip(methods, average_ranks(values).mean(0).tolist())), len(values)


def critical_difference(methods: int, samples: int, level: float = 0.05) -> float:
    """Difference of mean ranks that Nemenyi's test calls significant (Demsar, JMLR 2006)."""
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(1 - level, methods, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(methods * (methods + 1) / (6 * samples))
