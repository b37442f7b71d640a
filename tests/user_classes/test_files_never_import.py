"""No file that is loaded has anything imported or called: each kind of file names a module that tells when it runs.

The module is on the path, and importing it leaves a file behind. Being imported already counts as little: what is used
has to be named by the command or the call.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.trained import load_trained
from lit_coiba.bottlenecks import ActivationStatistics
from lit_coiba.core.errors import InputError
from lit_coiba.prototypes import Prototypes
from lit_coiba.store import ExplanationStore, Manifest, merge
from lit_coiba.training.classifier import Classifier
from tests.cli.conftest import CALM, TINY, command  # noqa: F401 - a fixture

TRAP = """from pathlib import Path
from lit_coiba.heads import LinearHead
Path("imported").touch()


class Trap(LinearHead):
    def __init__(self, in_channels, num_classes, **arguments):
        super().__init__(in_channels, num_classes)
        Path("called").touch()
"""
DESCRIPTION = {"class": "trap.Trap", "in_channels": 12, "num_classes": 3, "bias": True}
BACKBONE = {
    "name": "vit_tiny_patch16_224",
    "num_classes": 3,
    "image_size": 32,
    "timm_kwargs": {"depth": 2, "embed_dim": 12, "num_heads": 2, "patch_size": 8},
}
TOLD = {"backbone": BACKBONE, "head": DESCRIPTION}
DATA = ["--data", "SyntheticParts", "--data.limit", "4", *CALM]
TEACHER = [word.replace("model.backbone", "model.teacher.backbone") for word in TINY]
EXPLAIN = ["explain", *TINY, *DATA, "--model.method", "Saliency", "--store", "s"]


@pytest.fixture(params=["on the path", "imported already"])
def trap(request, tmp_path, monkeypatch):
    """Nothing of it has run since, whatever the test has done."""
    monkeypatch.chdir(tmp_path)
    Path("trap.py").write_text(TRAP)
    monkeypatch.syspath_prepend(str(tmp_path))
    if request.param == "imported already":
        import_module("trap")
        Path("imported").unlink()
    yield
    sys.modules.pop("trap", None)
    assert not Path("imported").exists()
    assert not Path("called").exists()


def weights(name: str) -> str:
    """A file of a classifier whose head is the trap: a checkpoint or safetensors."""
    network = Backbone(**BACKBONE)
    state = {f"backbone.model.{key}": tensor for key, tensor in network.model.state_dict().items()}
    if name.endswith(".ckpt"):
        told = {**TOLD, "teacher": {"backbone": BACKBONE, "weights": "trap.safetensors"}}
        torch.save({"state_dict": state, "hyper_parameters": told, "epoch": 0, "global_step": 0}, name)
    else:
        save_file(state, name, {"classifier": json.dumps(TOLD)})
    return name


@pytest.mark.parametrize("name", ["trap.ckpt", "trap.safetensors"])
def test_weights(trap, command, name):  # noqa: F811
    file = weights(name)
    loads = [lambda: Backbone.load(file), lambda: load_trained(Backbone(**BACKBONE), file)]
    if name.endswith(".ckpt"):
        loads.append(lambda: Classifier.load_from_checkpoint(file))
    for load in loads:
        with pytest.raises(InputError, match=r"has the head trap.Trap, a class outside lit-coiba"):
            load()
    fit = ["fit", *TINY, *DATA, *TEACHER, "--model.teacher.weights", file, "--trainer.max_steps", "1"]
    commands = [[*EXPLAIN, "--model.weights", file], fit]
    if name.endswith(".ckpt"):
        commands += [[verb, *DATA, "--ckpt_path", file] for verb in ("validate", "test", "fit")]
    for words in commands:
        outcome = command(*words, *(["--trainer.logger", "false"] if words[0] == "fit" else []))
        assert outcome.status == 2, words
        assert f"{file} has the head trap.Trap" in outcome.error
        assert "trap.Trap or in Python head=Trap" in outcome.error


def test_a_pickle_that_would_run_code_is_refused(trap, command):  # noqa: F811
    Path("trap.ckpt").write_bytes(b"ctrap\nTrap\n(tR.")
    for words in (["validate", *DATA, "--ckpt_path"], [*EXPLAIN, "--model.weights"]):
        outcome = command(*words, "trap.ckpt")
        assert outcome.status == 2
        assert "trap.ckpt" in outcome.error
    with pytest.raises(InputError, match=r"could run code|cannot be read"):
        Classifier.load_from_checkpoint("trap.ckpt")


def test_stores(trap):
    identity = {"method": {"class": "trap.Trap"}, "metrics": {"m": {"class": "trap.Trap"}}, "samples": 0}
    for name in ("one", "two"):
        Path(name).mkdir()
        Manifest(identity).save(Path(name))
    assert ExplanationStore("one").manifest.identity == identity
    assert len(merge("joined", ["one", "two"])) == 0
    assert "method.class" in ExplanationStore("one").manifest.told(Manifest({**identity, "method": {"class": "RISE"}}))


def test_statistics_and_prototypes(trap):
    save_file({"mean/x": torch.zeros(1)}, "statistics.safetensors", {"class": "trap.Trap", "network": "trap.Trap"})
    with pytest.raises(InputError):
        ActivationStatistics.load("statistics.safetensors")
    assert load_file("statistics.safetensors")
    Manifest({"class": "trap.Trap"}).save(Path())
    Path("prototypes.json").write_text(json.dumps({"class": "trap.Trap"}))
    with pytest.raises(InputError, match=r"does not say what it should|holds no prototypes"):
        Prototypes(".")


def test_the_trap_is_a_real_one(tmp_path, monkeypatch, command):  # noqa: F811
    """Named, it is imported and called."""
    Path("trap.py").write_text(TRAP)
    monkeypatch.syspath_prepend(str(tmp_path))
    file = weights("trap.safetensors")
    command(*EXPLAIN, "--model.weights", file, "--model.head", "trap.Trap")
    assert Path("imported").exists()
    assert Path("called").exists()
