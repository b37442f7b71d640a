"""Every argument of every method, metric and head is refused in one sentence where its value cannot be meant."""

from __future__ import annotations

import types
from inspect import Parameter, isabstract, signature
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
import torch
import torchmetrics

import lit_coiba.attribution
import lit_coiba.bottlenecks
import lit_coiba.heads
import lit_coiba.metrics
from lit_coiba.bottlenecks import CoIBA
from lit_coiba.core.arguments import check_arguments
from lit_coiba.core.errors import InputError
from lit_coiba.core.method import AttributionMethod

REQUIRED: dict[str, dict[str, Any]] = {
    "EVA": {"radius": 0.1, "patch": 4},
    "ChannelCorrelation": {"channels": 4},
    "Consistency": {"prototypes": torch.tensor([0]), "parts": 2},
    "ExplanationSize": {"weights": None, "units": 3},
    "LearnedRanking": {"readout": "readout.safetensors"},
    "ReadoutCoIBA": {"readout": "readout.safetensors"},
    "ReadoutIBA": {"readout": "readout.safetensors"},
    "Stability": {"prototypes": torch.tensor([0])},
    "StrongestPurity": {"channels": 4},
}
KINDS = (AttributionMethod, lit_coiba.heads.Head, torchmetrics.Metric)
ANY_NUMBER = {"seed", "strength", "alpha_init", "baseline", "margin"}  # may be below zero


def classes() -> list[type]:
    found = []
    for package in (lit_coiba.attribution, lit_coiba.bottlenecks, lit_coiba.metrics, lit_coiba.heads):
        for name in dir(package):
            one = getattr(package, name, None)
            if isinstance(one, type) and not isabstract(one) and issubclass(one, KINDS):
                found.append(one)
    return sorted(set(found), key=lambda one: one.__name__)


def plain(hint: Any) -> set[type]:
    """The plain types that an annotation allows."""
    if get_origin(hint) in (Union, types.UnionType):
        return set().union(*map(plain, get_args(hint)))
    return {hint} if isinstance(hint, type) else set()


def cases() -> list[Any]:
    """A class, an argument, a wrong value."""
    found = []
    for one in classes():
        hints = get_type_hints(one.__init__)
        for name, parameter in signature(one).parameters.items():
            kinds = plain(hints.get(name))
            if parameter.kind is Parameter.VAR_KEYWORD or not kinds & {int, float, bool}:
                continue
            wrong: list[Any] = [[1.0], {"a": 1}]
            wrong += [] if str in kinds or "Literal" in str(hints[name]) else ["3", "many"]
            if kinds & {int, float}:
                wrong += [float("nan"), True]
                wrong += [] if name in getattr(one, "may_be_infinite", ()) else [float("inf"), -float("inf")]
            if int in kinds and float not in kinds:
                wrong += [1.5, *([] if name in ANY_NUMBER else [-3])]
            if type(None) not in kinds:
                wrong.append(None)
            found += [pytest.param(one, name, value, id=f"{one.__name__}-{name}-{value}") for value in wrong]
    return found


def test_all_kinds_of_classes_are_looked_at():
    names = {one.__name__ for one in classes()}
    assert {"CoIBA", "IBA", "InputIBA", "UNI", "RISE", "Insertion", "PointingGame", "BRNPAHead", "Stability"} <= names
    assert len(cases()) > 500


@pytest.mark.parametrize(("one", "name", "value"), cases())
def test_a_wrong_value_is_refused_in_one_sentence(one, name, value):
    given = dict(REQUIRED.get(one.__name__, {}))
    if "in_channels" in signature(one).parameters:
        given |= {"in_channels": 4, "num_classes": 3}
    with pytest.raises(InputError, match=name) as refusal:
        one(**{**given, name: value})
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 500


def test_a_number_as_text_is_told_apart():
    with pytest.raises(InputError, match="beta is '3': give a finite number"):
        CoIBA(beta="3")
    with pytest.raises(InputError, match=r"layers is 'blocks.0': give a list, each value text or null"):
        CoIBA(layers="blocks.0")


def test_whole_numbers_are_numbers_and_users_classes_are_checked_too():
    class Mine(AttributionMethod):
        def __init__(self, order: float = 2.0, label: str | None = None) -> None:
            self.order, self.label = order, label

        def _explain(self, model, images, targets):
            raise NotImplementedError

    assert Mine(3).order == 3
    assert Mine(torch.tensor(1.5).item(), None).arguments() == {"order": 1.5, "label": None}
    assert list(signature(Mine).parameters) == ["order", "label"]
    with pytest.raises(InputError, match="order is nan"):
        Mine(order=float("nan"))
    with pytest.raises(TypeError, match="unexpected keyword"):
        Mine(other=1)
    check_arguments(Mine.__init__, {"order": float("inf")}, {"order"})
