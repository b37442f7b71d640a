"""Interpretable heads from the command line: fit, go on, validate, explain by the head itself, score."""

from pathlib import Path

import pytest

from lit_coiba.store import ExplanationStore

from .conftest import CALM, TINY

MODEL = [word for word in TINY if word not in ("--model.backbone.num_classes", "3")]
FIT = [*("--model.head", "InfoDisentHead", "--model.head.pooling", "hard"), *("--model.frozen", "true")]
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
    explained = ["--model.method", "HeadMap", "--data.root", str(photos), "--store", "runs/head"]
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
