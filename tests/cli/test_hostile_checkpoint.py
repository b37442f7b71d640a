"""A checkpoint of a stranger: whatever it tells of the model, no function is called and no module is imported."""

import re
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import CALM, TINY

TRAP = "from pathlib import Path\nPath('pwned').touch()\n\n\ndef build(*args, **kwargs):\n    Path('pwned').touch()\n"
RESNET = {"name": "resnet10t", "num_classes": 3, "image_size": 32}
HOSTILE = {
    "a function as backbone": {"backbone": {"class_path": "os.system", "init_args": {"command": "touch pwned"}}},
    "its path alone": {"backbone": "trap.build"},
    "a module that runs when imported": {"backbone": {"class_path": "trap.Backbone"}},
    "a function as head": {"head": {"class_path": "trap.build"}},
    "the path of a head": {"head": "trap.build"},
    "a head that is no name": {"head": {"class": "trap.build()"}},
    "an argument that the head has not": {"head": {"class": "LinearHead", "class_path": "trap.build"}},
    "a function below a value": {"backbone": RESNET, "lr": {"class_path": "trap.build"}},
    "a function among timm's arguments": {
        "backbone": {**RESNET, "timm_kwargs": {"act_layer": {"class_path": "trap.A"}}}
    },
    "a function as teacher": {"teacher": {"class_path": "trap.build"}},
    "a function as the teacher's backbone": {"teacher": {"backbone": {"class_path": "trap.build"}}},
    "an argument that there is not": {"backbone": RESNET, "callbacks": ["trap.build"]},
    "the environment": {"backbone": {**RESNET, "name": "${oc.env:HOME}"}},
}


CLASSES = {  # that nobody has named
    "a head of another module": (
        {"head": {"class": "trap.Head", "in_channels": 8, "num_classes": 3}},
        "head trap.Head",
    ),
    "a head that there is not": ({"head": {"class": "__import__"}}, "head __import__"),
    "a head of another kind": ({"head": {"class": "Backbone", "name": "resnet10t"}}, "head Backbone"),
    "a teacher of another module": ({"teacher": {"class": "trap.T", "backbone": {**RESNET}}}, "teacher trap.T"),
}


@pytest.fixture
def data(tmp_path: Path) -> list[str]:
    return ["--data", "SyntheticParts", "--data.limit", "4"]


@pytest.mark.parametrize("told", HOSTILE.values(), ids=HOSTILE)
def test_nothing_of_it_runs(command, data, monkeypatch, told):
    Path("trap.py").write_text(TRAP)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    torch.save({"state_dict": {"backbone.model.x": torch.zeros(1)}, "hyper_parameters": told}, "evil.ckpt")
    for verb in ("test", "fit"):
        outcome = command(verb, *data, *CALM[:4], *TINY[:2], "--ckpt_path", "evil.ckpt")
        assert outcome.status == 2
        assert re.search("evil.ckpt (has|names) ", outcome.error)
        assert re.search("was refused|which is not a class", outcome.error)
    assert not Path("pwned").exists()


@pytest.mark.parametrize(("told", "what"), CLASSES.values(), ids=CLASSES)
def test_a_class_that_is_not_named_is_not_used(command, data, monkeypatch, told, what):
    Path("trap.py").write_text(TRAP)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    torch.save({"state_dict": {"backbone.model.x": torch.zeros(1)}, "hyper_parameters": told}, "evil.ckpt")
    outcome = command("fit", *data, *CALM[:4], *TINY[:2], "--ckpt_path", "evil.ckpt")
    assert outcome.status == 2
    assert f"evil.ckpt has the {what}, a class outside lit-coiba" in outcome.error
    assert not Path("pwned").exists()


def test_the_trap_is_a_real_one(command, monkeypatch):
    Path("trap.py").write_text(TRAP)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    command("test", "--data", "SyntheticParts", "--model.backbone", "trap.build")
    assert Path("pwned").exists()


def test_weights_are_neither_fetched_nor_read_from_elsewhere(command, data):
    told = {"backbone": {**RESNET, "pretrained": True, "checkpoint": "elsewhere.pth"}}
    torch.save({"state_dict": {"x": torch.zeros(1)}, "hyper_parameters": told}, "evil.ckpt")
    printed = command("test", *data, "--ckpt_path", "evil.ckpt", "--print_config").out
    assert "pretrained: false" in printed
    assert "elsewhere.pth" not in printed


@pytest.mark.parametrize("backbone", ["trap.build", {"class_path": "trap.build"}, [1]])
def test_weights_of_a_network_that_is_no_list_of_arguments_are_refused(command, data, backbone):
    torch.save({"state_dict": {"x": torch.zeros(1)}, "hyper_parameters": {"backbone": backbone}}, "evil.ckpt")
    words = ["--model.method", "RandomMap", *CALM[:4], *TINY[:2], "--model.weights", "evil.ckpt", "--store", "x"]
    outcome = command("explain", *data, *words)
    assert outcome.status == 2
    assert "evil.ckpt has backbone" in outcome.error
    assert "the file was refused" in outcome.error
