"""Interpretable heads from the command line: fit, go on, validate, explain by the head itself, score."""

from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from lit_coiba.prototypes import Prototypes
from lit_coiba.resources import resource
from lit_coiba.store import ExplanationStore

from .conftest import CALM, TINY

MODEL = [word for word in TINY if word not in ("--model.backbone.num_classes", "3")]
FIT = [*("--model.head", "InfoDisentHead", "--model.head.pooling", "hard"), *("--model.frozen", "true")]
SHIPPED = ["-c", "configs/model/infodisent_synthetic_parts.yaml", "--data", "SyntheticParts"]
pytestmark = pytest.mark.filterwarnings("ignore:.*Checkpoint directory", "ignore:.*in eval mode at the start")


def test_from_the_first_fit_to_the_table(command, photos):
    data = ["--data.root", str(photos), "--data.batch_size", "2"]
    calm = [*CALM, "--trainer.log_every_n_steps", "1", "--trainer.enable_model_summary", "false"]
    words = [*MODEL, *FIT, *data, *calm, "--cache", "features"]
    assert command("fit", *words, "--trainer.max_epochs", "1").status == 0
    files = sorted(Path("features").iterdir())
    assert files
    (saved,) = Path("lightning_logs/version_0/checkpoints").glob("*.ckpt")
    again = [*data, *calm, "--ckpt_path", str(saved)]
    assert command("fit", *again, "--cache", "features", "--trainer.max_epochs", "2").status == 0
    assert sorted(Path("features").iterdir()) == files
    weights = [*MODEL, "--model.backbone.num_classes", "3", "--model.weights", str(saved), *CALM]
    explained = ["--model.method", "HeadAttribution", "--data.root", str(photos), "--store", "runs/head"]
    assert command("explain", *weights, *explained).status == 0
    row = next(iter(ExplanationStore("runs/head")))
    assert row.map.shape == (4, 4)
    assert row.extras["contributions"].shape == (8,)
    one = ["--model.metrics.insertion", "Insertion", "--model.metrics.insertion.steps", "4"]
    scored = ["--data.root", str(photos), "--stores", "runs/head", "--output", "runs/table", *one]
    assert command("benchmark", *weights, *scored).status == 0


def test_a_head_that_there_is_not(command, photos):
    outcome = command("fit", *MODEL, "--model.head", "InfoDisentHaed", "--data.root", str(photos), *CALM)
    assert outcome.status == 2
    assert "InfoDisentHaed" in outcome.error


def test_from_prototypes_to_decisions(command):
    words = ["--limit", "24", "--pages", "1", "--output", "runs/prototypes", "--evaluate", "true", "--data.limit", "8"]
    outcome = command("prototypes", *SHIPPED, *CALM, *words)
    assert outcome.status == 0, outcome.err
    line, *table = outcome.out.splitlines()
    folder = Path("runs/prototypes")
    assert line.startswith("Prototypes of 128 units are in runs/prototypes, drawn in its folders units and classes: ")
    assert line.endswith(" are duplicates of another")
    assert "\n".join(table) == (folder / "evaluation.md").read_text().rstrip()
    assert table[0].startswith("| measure |")
    assert any(row.startswith("| consistency |") and "8 images" in row for row in table)
    assert [file.name for file in (folder / "units").iterdir()] == ["01.png"]
    assert [file.name for file in (folder / "classes").iterdir()] == ["000_hook_diamond_boot_paddle_leaf.png"]
    assert list((folder / "tensorboard").iterdir())
    found = Prototypes(folder)
    assert found.manifest.identity["samples"] == 24
    assert all(int(patch.id[-6:]) < 10_000 for patch in found.of(0))  # training images

    explained = ["--model.method", "HeadAttribution", "--model.method.prototypes", "runs/prototypes", "--limit", "2"]
    outcome = command("explain", *SHIPPED, *CALM, *explained, "--store", "runs/head")
    assert outcome.status == 0, outcome.err
    assert "2 explanations of 2 images are in runs/head" in outcome.out
    assert len(list(Path("runs/head/decisions").glob("*.png"))) == 2
    for row in ExplanationStore("runs/head"):
        for unit, rows in zip(row.extras["units"].tolist(), row.extras["looks_like"].tolist()):
            assert {found[k].unit for k in rows if k >= 0} == {unit}

    with safe_open(resource("checkpoints/infodisent_synthetic_parts.safetensors"), "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        tensors = {name: values + (name.endswith("head.weight")) for name, values in tensors.items()}
        save_file(tensors, "other.safetensors", file.metadata())
    outcome = command(
        "explain", *SHIPPED, *CALM, *explained, "--model.weights", "other.safetensors", "--store", "runs/other"
    )
    assert outcome.status == 2
    assert outcome.error.startswith("the prototypes in runs/prototypes belong to another classifier")
    assert not Path("runs/other").exists()
