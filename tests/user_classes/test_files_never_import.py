"""No file that is loaded has anything imported or called: each kind of file names a module that tells when it runs.

The module is on the path, and importing it leaves a file behind. Being imported already counts as little: what is used
has to be named by the command or the call.
"""

from __future__ import annotations

import json
from importlib import import_module
from itertools import count
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
NUMBERS = count()  # of the modules, since an imported one stays, and jsonargparse looks at all classes there are
BACKBONE = {
    "name": "vit_tiny_patch16_224",
    "num_classes": 3,
    "image_size": 32,
    "timm_kwargs": {"depth": 2, "embed_dim": 12, "num_heads": 2, "patch_size": 8},
}
DATA = ["--data", "SyntheticParts", "--data.limit", "4", *CALM]
TEACHER = [word.replace("model.backbone", "model.teacher.backbone") for word in TINY]
EXPLAIN = ["explain", *TINY, *DATA, "--model.method", "Saliency", "--store", "s"]


@pytest.fixture(params=["on the path", "imported already"])
def trap(request, tmp_path, monkeypatch):
    """Path of a class of which nothing runs, whatever the test does."""
    path = set_up(tmp_path, monkeypatch)
    if request.param == "imported already":
        import_module(path.partition(".")[0])
        Path("imported").unlink()
    yield path
    assert not Path("imported").exists()
    assert not Path("called").exists()


def set_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write the module to a folder that Python finds it in; the path of its class."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    name = f"snare_{next(NUMBERS)}"
    Path(f"{name}.py").write_text(TRAP)
    return f"{name}.Trap"


def weights(name: str, path: str) -> str:
    """A file of a classifier whose head is the trap: a checkpoint or safetensors."""
    network = Backbone(**BACKBONE)
    state = {f"backbone.model.{key}": tensor for key, tensor in network.model.state_dict().items()}
    told = {"backbone": BACKBONE, "head": {"class": path, "in_channels": 12, "num_classes": 3, "bias": True}}
    if name.endswith(".ckpt"):
        told["teacher"] = {"backbone": BACKBONE, "weights": "weights.safetensors"}
        torch.save({"state_dict": state, "hyper_parameters": told, "epoch": 0, "global_step": 0}, name)
    else:
        save_file(state, name, {"classifier": json.dumps(told)})
    return name


@pytest.mark.parametrize("name", ["weights.ckpt", "weights.safetensors"])
def test_weights(trap, command, name):  # noqa: F811
    file = weights(name, trap)
    loads = [lambda: Backbone.load(file), lambda: load_trained(Backbone(**BACKBONE), file)]
    if name.endswith(".ckpt"):
        loads.append(lambda: Classifier.load_from_checkpoint(file))
    for load in loads:
        with pytest.raises(InputError, match=f"has the head {trap}, a class outside lit-coiba"):
            load()
    fit = ["fit", *TINY, *DATA, *TEACHER, "--model.teacher.weights", file, "--trainer.max_steps", "1"]
    fit += ["--model.backbone.num_classes", "20"]  # those of the data, which are looked at first
    commands = [[*EXPLAIN, "--model.weights", file], fit]
    if name.endswith(".ckpt"):
        commands += [[verb, *DATA, "--ckpt_path", file] for verb in ("validate", "test", "fit")]
    for words in commands:
        outcome = command(*words, *(["--trainer.logger", "false"] if words[0] == "fit" else []))
        assert outcome.status == 2, words
        assert f"{file} has the head {trap}" in outcome.error
        assert f"{trap} or in Python head=Trap" in outcome.error


def test_a_pickle_that_would_run_code_is_refused(trap, command):  # noqa: F811
    Path("weights.ckpt").write_bytes(f"c{trap.replace('.', chr(10))}\n(tR.".encode())
    for words in (["validate", *DATA, "--ckpt_path"], [*EXPLAIN, "--model.weights"]):
        outcome = command(*words, "weights.ckpt")
        assert outcome.status == 2
        assert "weights.ckpt" in outcome.error
    with pytest.raises(InputError, match=r"could run code|cannot be read"):
        Classifier.load_from_checkpoint("weights.ckpt")


def test_stores(trap):
    identity = {"method": {"class": trap}, "metrics": {"m": {"class": trap}}, "samples": 0}
    for name in ("one", "two"):
        Path(name).mkdir()
        Manifest(identity).save(Path(name))
    assert ExplanationStore("one").manifest.identity == identity
    assert len(merge("joined", ["one", "two"])) == 0
    assert "method.class" in ExplanationStore("one").manifest.told(Manifest({**identity, "method": {"class": "RISE"}}))


def test_statistics_and_prototypes(trap):
    save_file({"mean/x": torch.zeros(1)}, "statistics.safetensors", {"class": trap, "network": trap})
    with pytest.raises(InputError):
        ActivationStatistics.load("statistics.safetensors")
    assert load_file("statistics.safetensors")
    Manifest({"class": trap}).save(Path())
    Path("prototypes.json").write_text(json.dumps({"class": trap}))
    with pytest.raises(InputError, match=r"cannot be read|has no prototypes"):
        Prototypes(".")


def test_the_trap_is_a_real_one(tmp_path, monkeypatch, command):  # noqa: F811
    """Named, it is imported and called."""
    path = set_up(tmp_path, monkeypatch)
    command(*EXPLAIN, "--model.weights", weights("weights.safetensors", path), "--model.head", path)
    assert Path("imported").exists()
    assert Path("called").exists()
