"""The scores of the FunnyBirds protocol over a dataset: one threshold, and what follows from it."""

from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.functional.intervals import Interval, bootstrap_means

AT_THRESHOLDS = ("csdc", "pc", "dc", "distractibility")
SINGLE = ("accuracy", "background", "sd", "ts")


class PartScores(NamedTuple):
    """The scores of one explanation method for one model.

    Hesse, Schaub-Meyer and Roth, FunnyBirds, 2023 (arXiv 2308.06248). All are on 0 to 1, and more is better.
    """

    threshold: float  # share of a map's sum above which a part is important, chosen over the dataset
    accuracy: Interval
    background: Interval  # background independence
    csdc: Interval  # controlled synthetic data check
    pc: Interval  # preservation check
    dc: Interval  # deletion check
    distractibility: Interval
    sd: Interval  # single deletion
    ts: Interval  # target sensitivity
    completeness: Interval  # mean of the mean of csdc, pc and dc, and of distractibility
    correctness: Interval  # sd
    contrastivity: Interval  # ts
    overall: Interval  # mean of the last three


def best_threshold(csdc: Tensor, pc: Tensor, dc: Tensor, distractibility: Tensor) -> int:
    """Number of the threshold at which the mean of the three checks plus distractibility is largest, each ``(T,)``.

    The first of equal ones; checks that are not defined are left out.

    Example:
        >>> one = torch.tensor([0.5, 1.0, 1.0])
        >>> best_threshold(one, one, one, torch.tensor([1.0, 0.6, 0.6]))
        1
    """
    checks = torch.stack([csdc, pc, dc]).nanmean(0).nan_to_num(0.0) + distractibility.nan_to_num(0.0)
    return int((checks == checks.max()).nonzero()[0])


def part_scores(
    samples: dict[str, Tensor], thresholds: Tensor, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> PartScores:
    """The scores over n samples, each with its bootstrap interval at the threshold that is chosen for all of them.

    Args:
        samples: Scores of the samples: those of `AT_THRESHOLDS` ``(n, T)``, those of `SINGLE` ``(n,)``, and
            ``objects``, the number of things in the background of each, by which ``background`` counts; NaN =
            undefined.
        thresholds: ``(T,)``.
        level: Level of the intervals.
        draws: Number of bootstrap draws.
        seed: Their seed.
    """
    samples = {name: values.double() for name, values in samples.items()}
    chosen = best_threshold(*(samples[name].nanmean(0) for name in AT_THRESHOLDS))
    columns = {name: samples[name][:, chosen] for name in AT_THRESHOLDS} | {name: samples[name] for name in SINGLE}
    objects = samples["objects"]
    columns["background"] = columns["background"].nan_to_num(0.0) * objects  # a mean over things, not over samples
    names = [*columns, "objects"]
    table = torch.stack([*columns.values(), objects], 1)
    means = bootstrap_means(table, draws, seed)  # (draws, c)
    first, *rest = (dict(zip(names, rows)) for rows in (table.nanmean(0), means.T))
    mean, drawn = _with_aggregates(first), _with_aggregates(rest[0])
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    found = {}
    for name in PartScores._fields[1:]:
        low, high = torch.nanquantile(drawn[name], ends).tolist()
        found[name] = Interval(float(mean[name]), low, high)
    return PartScores(float(thresholds[chosen]), **found)


def _with_aggregates(scores: dict[str, Tensor]) -> dict[str, Tensor]:
    """The scores with what is computed of them."""
    found = {**scores, "background": scores["background"] / scores["objects"]}
    checks = (scores["csdc"] + scores["pc"] + scores["dc"]) / 3
    found["completeness"] = (checks + scores["distractibility"]) / 2
    found["correctness"], found["contrastivity"] = scores["sd"], scores["ts"]
    found["overall"] = (found["completeness"] + found["correctness"] + found["contrastivity"]) / 3
    return found
