"""Every YAML that comes with the package is run for a step, and explains each of its keys."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lit_coiba.backbones import Backbone
from lit_coiba.callbacks.export_weights import save_half
from lit_coiba.heads import LinearHead
from lit_coiba.heads.description import describe
from lit_coiba.precision import automatic_precision
from lit_coiba.resources import resource
from lit_coiba.store import ExplanationStore
from tests._testers.releases import RELEASES

from .conftest import CALM, TINY

CONFIGS = sorted(str(file.relative_to(resource("configs"))) for file in resource("configs").rglob("*.yaml"))
FEW = pytest.mark.filterwarnings(  # of a handful of images, and of random weights
    "ignore:activation statistics of", "ignore:.*survive pure noise"
)


def of(folder: str) -> list[str]:
    return [f"configs/{name}" for name in CONFIGS if name.startswith(f"{folder}/")]


def test_every_folder_has_a_test():
    assert {name.partition("/")[0] for name in CONFIGS} == {
        "benchmark",
        "method",
        "data",
        "trainer",
        "model",
        "experiment",
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_every_key_has_a_comment(name):
    for line in (resource("configs") / name).read_text().splitlines():
        nested = re.fullmatch(r"\s*(- )?[\w.]+:( (class_path: )?[\w.]+)?", line)  # opens a mapping, or names a class
        assert line.lstrip().startswith("#") or " # " in line or nested, f"{name}: {line}"


def trained_head(file: str) -> str:
    """Weights of the tiny model with a head, as a fit exports them."""
    sizes = {"depth": 2, "embed_dim": 12, "num_heads": 2, "patch_size": 8}
    backbone = Backbone("vit_tiny_patch16_224", num_classes=3, image_size=32, timm_kwargs=sizes)
    backbone.attach(head := LinearHead(12, 3))
    save_half(backbone.model, Path(file), {"head": describe(head)})
    return file


@FEW
@pytest.mark.parametrize("name", of("method"))
def test_methods(name, command, photos):
    words = ["--model.weights", trained_head("head.safetensors")] if "head_map" in name else []
    assert command("explain", "-c", name, *TINY, *CALM, *words, "--data.root", str(photos), "--store", "x").status == 0
    store = ExplanationStore("x")
    assert len(store) == 6
    identity = store.manifest.identity
    assert identity["precision"] == (automatic_precision() if "fast" in name else "32-true")
    if "fast" in name:
        assert (identity["method"]["copies"], identity["method"]["antithetic"]) == (4, True)


@FEW
def test_a_file_of_a_method_says_what_its_class_says(command):
    """What stands in coiba.yaml and iba.yaml are the defaults of the classes, so no file has to be given."""
    for name, cls in (("coiba", "CoIBA"), ("iba", "IBA"), ("random", "RandomMap")):
        printed = [
            command("explain", *words, "--print_config").out
            for words in (["-c", f"configs/method/{name}.yaml"], ["--model.method", cls])
        ]
        assert printed[0] == printed[1]


@pytest.mark.parametrize("name", of("data"))
def test_data(name, command, photos, tmp_path):
    dataset = Path(name).stem
    made = {"image_folder": lambda _: photos, "synthetic_parts": lambda _: None, **RELEASES}[dataset](tmp_path / "data")
    root = ["--data.root", str(made)] if made is not None else []
    words = ["--model.method", "Saliency", *TINY, *CALM, *root, "--limit", "2", "--store", "x"]
    assert command("explain", "-c", name, *words).status == 0
    assert len(ExplanationStore("x")) == 2


@pytest.mark.parametrize("name", of("trainer"))
def test_trainers(name, command, photos):
    words = [*TINY, "--data.root", str(photos), "--data.num_workers", "0", "--trainer.enable_progress_bar", "false"]
    words = ["explain", "-c", name, "--model.method", "RandomMap", *words, "--store", "x"]
    if "ddp" in name:  # starts its command once more, so it needs one of its own
        environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(resource("configs").parent)}
        done = subprocess.run([sys.executable, "-m", "lit_coiba", *words], env=environment, check=False, timeout=900)
        assert done.returncode == 0
        assert len(ExplanationStore("x")) == 6
        return
    outcome = command(*words)
    if "gpu" in name and not torch.cuda.is_available():
        assert outcome.status == 2
        assert outcome.error == "trainer: No supported gpu backend found!"
    else:
        assert outcome.status == 0
        assert len(ExplanationStore("x")) == 6


@pytest.mark.parametrize("name", of("model"))
def test_models(name, command):
    words = ["--model.method", "Saliency", "--data", "SyntheticParts", *CALM, "--limit", "16", "--store", "x"]
    assert command("explain", "-c", name, *words, "--model.targets", "label").status == 0
    rows = list(ExplanationStore("x"))
    assert len(rows) == 16
    assert sum(row.probability > 0.5 for row in rows) >= 15  # these are the weights that know the classes


@pytest.mark.parametrize("name", of("benchmark"))
def test_benchmarks(name, command):
    words = [*("-c", "configs/model/synthetic_parts_cnn.yaml", "--data", "SyntheticParts"), *CALM, "--limit", "8"]
    method = ["--model.method", "RandomMap", "--model.method.seed", "3"]  # not the one that every table has
    assert command("explain", *method, *words, "--store", "x").status == 0
    assert command("benchmark", "-c", name, *words, "--stores", "x", "--output", "y").status == 0
    table = Path("y/leaderboard.md").read_text()
    assert all(method in table for method in ("| x |", "| Oracle |", "| Saliency |", "| Random |"))


@pytest.mark.parametrize("name", of("experiment"))
def test_experiments(name, command):
    fast = ["--trainer.fast_dev_run", "true", "--trainer.enable_model_summary", "false", "--data.batch_size", "4"]
    assert command("fit", "-c", name, *CALM, *fast, "--trainer.callbacks", "null").status == 0


def test_experiments_name_themselves():
    """The command in a card is the one that made it."""
    for name in of("experiment"):
        text = (resource("configs").parent / name).read_text()
        assert f"lit-coiba fit -c {name}" in text
        assert json.dumps(Path(name).stem).strip('"') in text
