"""Metrics that compare probabilities refuse a target that has none."""

from __future__ import annotations

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import a_kind
from lit_coiba.core.targets import Class, Resolved, ResolvedClass, Target, Targets


def check_probability(metric: str, targets: Targets) -> None:
    """Refuse targets whose score is no probability, before anything runs.

    Args:
        metric: Name of the metric that asks.
        targets: See `Faithfulness.score`.

    Raises:
        InputError: They have none.
    """
    if not isinstance(targets, Resolved | Target):
        return
    score = targets.scored if isinstance(targets, ResolvedClass) else getattr(targets, "score", None)
    if not isinstance(targets, Class | ResolvedClass):
        raise InputError(f"{metric} compares probabilities, and the target is {a_kind(targets)}: give a class")
    if score not in (None, "prob"):
        raise InputError(
            f"{metric} compares probabilities, and the target's score is {score}: give a class without a score of its"
            " own, or with prob"
        )
