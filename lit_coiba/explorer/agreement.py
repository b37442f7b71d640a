"""Whether runs are of one model and one dataset, and whether two models have the same classes."""

from __future__ import annotations

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.explorer.runs import Identified, Runs, layer_of

# What must agree, and what it is called. Splits and limits may differ: prototypes are of the training images.
_SAME = (("model", "of another model or other weights"), ("preprocessing", "of another preprocessing"))
_REMEDY = "give runs of one model on one dataset, and those of a second model as --other"


def check_agreement(runs: Runs, argument: str = "runs") -> None:
    """Refuse runs that are not of one model and one dataset, and two of the same layer.

    Raises:
        InputError: Naming two of them, and in what they differ.
    """
    for name, what in _SAME:
        _check_same(runs, argument, name, what)
    _check_same(runs, argument, "data", "of other data")
    _check_same(runs, argument, "class_names", "of other classes")
    layers: dict[str, str] = {}
    for run in runs.concepts:
        shown, layer = printable(run.path, 120), layer_of(run)
        if layer in layers:
            raise InputError(
                f"{argument}: {layers[layer]} and {shown} both have concepts of the layer {printable(layer, 80)}: give"
                " one of them"
            )
        layers[layer] = shown


def check_other(runs: Runs, other: Runs) -> None:
    """Refuse a second model that does not have the classes of the first.

    Raises:
        InputError: Saying so.
    """
    ours, theirs = runs.class_names, other.class_names
    if ours != theirs:
        one, two = printable(runs.paths[0], 120), printable(other.paths[0], 120)
        told = f"one names {len(ours)} classes and the other {len(theirs)}"
        if len(ours) == len(theirs):
            cls = next(k for k, pair in enumerate(zip(ours, theirs)) if pair[0] != pair[1])
            told = f"class {cls} is {printable(ours[cls], 40)} in one and {printable(theirs[cls], 40)} in the other"
        raise InputError(
            f"other: {two} has other classes than {one} ({told}): give runs of a model for the same classes"
        )


def _check_same(runs: Runs, argument: str, name: str, what: str) -> None:
    first: Identified | None = None
    for one in runs.identities:
        value = getattr(one, name)
        if not value:
            continue  # it does not say
        if first is None:
            first = one
        elif getattr(first, name) != value:
            raise InputError(
                f"{argument}: {printable(one.path, 120)} is {what} than {printable(first.path, 120)}: {_REMEDY}"
            )
