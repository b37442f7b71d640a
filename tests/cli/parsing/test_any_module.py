"""A model of the user's own by the path of a function or a class: whatever module it makes is explained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from lit_coiba.store import ExplanationStore
from tests.cli.conftest import CALM

OWN = """
from torch import nn

from lit_coiba import Backbone, Preprocessing


def build(width=2):
    pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5)]
    return nn.Sequential(nn.Conv2d(3, width, 4, 4), nn.ReLU(), *pooled)


def typed(width: int = 2) -> nn.Sequential:
    return build(width)


def small(width: int = 2) -> Backbone:
    return Backbone.wrap(build(width), Preprocessing(size=(32, 32)))


class Net(nn.Module):
    def __init__(self, width: int = 2) -> None:
        super(Net, self).__init__()
        self.layers = build(width)

    def forward(self, images):
        return self.layers(images)


def numbers(width=2):
    return [width]


def typed_numbers(width: int = 2) -> list:
    return [width]
"""


@pytest.fixture
def own(command, photos, monkeypatch):
    """Runs ``lit-coiba explain`` on a model of the module ``own``, in the working directory."""
    Path("own.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.delitem(__import__("sys").modules, "own", raising=False)
    words = ["--model.method", "Saliency", *CALM, "--data.root", str(photos), "--limit", "2", "--store", "x"]
    return lambda name, *more: command("explain", "--model.backbone", f"own.{name}", *words, *more)


@pytest.mark.parametrize("name", ["build", "typed", "Net", "small"])
def test_a_function_or_a_class_and_its_arguments(own, name):
    outcome = own(name, "--model.backbone.width", "3")
    assert outcome.status == 0, outcome.err
    side = 32 if name == "small" else 224
    assert [row.map.shape for row in ExplanationStore("x")] == [(side, side)] * 2
    digest = json.loads(Path("x/manifest.json").read_text())["identity"]["model"]
    assert own(name, "--model.backbone.width", "4", "--store", "y").status == 0
    assert json.loads(Path("y/manifest.json").read_text())["identity"]["model"] != digest


def test_what_is_printed_names_it_and_runs(own, command):
    printed = own("build", "--model.backbone.width", "3", "--print_config").out
    assert yaml.safe_load(printed)["model"]["backbone"] == {"class_path": "own.build", "init_args": {"width": 3}}
    Path("all.yaml").write_text(printed)
    assert command("explain", "-c", "all.yaml").status == 0
    assert len(ExplanationStore("x")) == 2


def test_a_model_of_another_library(own, command):
    words = ["--model.backbone", "torchvision.models.squeezenet1_1", "--model.backbone.num_classes", "3"]
    assert own("build", *words).status == 0
    assert all(row.target < 3 for row in ExplanationStore("x"))


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("numbers", [], "model.backbone returns a list, but must return a torch module"),
        ("typed_numbers", [], "model.backbone: own.typed_numbers is not a TorchModule"),
        ("nowhere", [], "model.backbone: own.nowhere cannot be imported (module 'own' has no attribute 'nowhere')"),
        (
            "Net",
            ["--model.backbone.widht", "3"],
            "unknown key model.backbone.widht: did you mean",
        ),
        (
            "Net",
            ["--model.backbone", "resnet18"],
            "model.backbone: class resnet18 does not exist; give its path, module.",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(own, name, words, said):
    outcome = own(name, *words)
    assert outcome.status == 2
    assert outcome.error.startswith(said)
