"""Whether missing parts are in the distribution of a model, on which some metrics' names depend."""

from __future__ import annotations

from typing import Any

from lit_coiba.backbones.missing_parts import POINTS, MissingParts, Part, missing_parts
from lit_coiba.core.errors import InputError

RECIPES = {"cell": "idsds", "pixels": "f_fidelity"}  # files of configs/experiment


def check_gate(
    metric: str,
    model: Any,
    part: Part,
    amount: float,
    baseline: str | float,
    measured: tuple[float | None, float | None] = (None, None),
    remedy: str = "",
) -> None:
    """Refuse a model that is more than two points less accurate without these parts, or of which that is not known.

    Args:
        metric: Name of the metric that asks.
        model: The model, whose file says what was measured when it was trained.
        part: What is missing.
        amount: Cells a side of the grid, or the share of the pixels.
        baseline: What is in their place.
        measured: Accuracy on whole images and without the parts, where the user says it.
        remedy: What to do beside training the model, with what comes after it.

    Raises:
        InputError: It is, or is not known.
    """
    what = f"one cell of {amount:g} x {amount:g}" if part == "cell" else f"{amount:.0%} of the pixels"
    clean, missing = measured
    if clean is not None and missing is not None:
        found: MissingParts | None = MissingParts(part, amount, baseline, clean, missing)
    else:
        found = missing_parts(model)
    train = f"{remedy}train it further with -c configs/experiment/{RECIPES[part]}.yaml"
    if found is None or (found.part, found.amount, found.baseline) != (part, amount, baseline):
        known = "" if found is None else ", but for other missing parts"
        raise InputError(
            f"{metric} needs a model that is as accurate with {what} missing ({baseline}), and that is not known of"
            f" this one{known}: {train}"
        )
    if not found.in_distribution:
        raise InputError(
            f"{metric} needs a model that is as accurate with {what} missing, within {100 * POINTS:g} points, and this"
            f" one has {found.missing:.1%} against {found.clean:.1%}: {train}"
        )
