"""A checkpoint whose weights, arguments or optimizer are something else is one sentence, by Python's ways too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.fuzz import kinds
from lit_coiba.core.errors import InputError
from lit_coiba.training.classifier import Classifier

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*Checkpoint directory", "ignore:.*in eval mode", "ignore:.*no `val", "ignore:.*dirpath has changed"
)
WEIGHT = "backbone.model.conv1.weight"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("fit")
    kinds.make_checkpoint(folder)
    return folder


@pytest.fixture
def content(folder) -> dict[str, Any]:
    return torch.load(folder / "w.ckpt", weights_only=True)


def weights(told: dict[str, Any], change: Any) -> None:
    told["state_dict"][WEIGHT] = change(told["state_dict"][WEIGHT])


CHANGES = {
    "not finite": lambda told: weights(told, lambda weight: weight / 0),
    "without data": lambda told: weights(told, lambda weight: torch.empty_like(weight, device="meta")),
    "uint8": lambda told: weights(told, lambda weight: weight.to(torch.uint8)),
    "size mismatch": lambda told: weights(told, lambda weight: weight[:2]),
    "Missing key": lambda told: told["state_dict"].pop(WEIGHT),
    "no arguments of its backbone": lambda told: told["hyper_parameters"].pop("backbone"),
    "does not fit the classifier": lambda told: told["hyper_parameters"].update(lr="fast"),
}


@pytest.mark.parametrize("said", CHANGES)
def test_load_from_checkpoint_refuses(content, said, tmp_path):
    CHANGES[said](content)
    torch.save(content, tmp_path / "w.ckpt")
    with pytest.raises(InputError, match=said) as caught:
        Classifier.load_from_checkpoint(tmp_path / "w.ckpt")
    assert len(str(caught.value)) < 500


def states(told: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return told["optimizer_states"][0]["state"]


def option(name: str, value: Any) -> Any:
    return lambda told: told["optimizer_states"][0]["param_groups"][0].update({name: value})


OPTIMIZERS = {
    "a name is gone": lambda told: states(told)[0].pop("exp_avg_sq"),
    "another name": lambda told: states(told)[0].update({"other": torch.ones(())}),
    "steps below zero": lambda told: states(told)[0].update(step=torch.tensor(-1.0)),
    "no mapping": lambda told: states(told).update({0: [1]}),
    "without data": lambda told: states(told)[0].update(exp_avg=states(told)[0]["exp_avg"].to("meta")),
    "betas of text": option("betas", "ab"),
    "three betas": option("betas", [0.9, 0.9, 0.9]),
    "betas of 1": option("betas", [1.0, 1.0]),
    "eps not a number": option("eps", float("nan")),
    "decay of text": option("weight_decay", "x"),
    "upwards": option("maximize", 1),
    "fused of text": option("fused", "x"),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_fit_does_not_go_on_with_another_optimizer(content, name, tmp_path):
    OPTIMIZERS[name](content)
    torch.save(content, tmp_path / "w.ckpt")
    with pytest.raises(InputError, match="does not fit this run") as caught:
        kinds.read_resumed(tmp_path)
    assert len(str(caught.value)) < 500


def test_what_a_fit_left_goes_on(content, tmp_path):
    option("weight_decay", 0.1)(content)
    torch.save(content, tmp_path / "w.ckpt")
    assert kinds.read_resumed(tmp_path)
