"""``lit-coiba compare`` and ``calibrate`` from the command line: resumed, with a method more, and what is refused."""

import csv
from pathlib import Path

import pytest

from lit_coiba.store import ExplanationStore

MODEL = ["-c", "configs/model/synthetic_parts_cnn.yaml", "--data", "SyntheticParts", "--data.batch_size", "4"]
CALM = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
SUITE = "model: {metrics: {energy: EnergyPointing, srg: {class_path: SRG, init_args: {grid_size: 4, steps: 4}}}}"
WORDS = [*MODEL, *CALM, "--limit", "8", "--suite", "mine.yaml"]


@pytest.fixture
def compare(command):
    Path("mine.yaml").write_text(SUITE)
    return lambda *words: command("compare", *WORDS, "--output", "runs/c", "--pictures", "false", *words)


def test_a_second_call_and_a_method_more(compare):
    first = compare("--methods", "saliency", "random")
    assert first.status == 0
    assert "The table is in runs/c/scores/leaderboard.md" in first.out
    digests = {name: ExplanationStore(f"runs/c/stores/{name}").digest() for name in ("saliency", "random")}
    assert compare("--methods", "saliency", "random").out == first.out
    with pytest.warns(UserWarning, match="attn_lrp is left out: "):
        more = compare("--methods", "saliency", "random", "input_x_gradient", "attn_lrp")
    assert more.status == 0
    assert "Left out: attn_lrp, " in more.out
    with pytest.warns(UserWarning, match="attn_lrp is left out: "):
        assert compare("--methods", "saliency", "random", "input_x_gradient", "attn_lrp").out == more.out
    assert {name: ExplanationStore(f"runs/c/stores/{name}").digest() for name in digests} == digests
    with open("runs/c/scores/leaderboard.csv") as file:
        methods = list(dict.fromkeys(row["method"] for row in csv.DictReader(file)))
    assert methods == ["saliency", "random", "input_x_gradient", "Oracle", "Edges", "Center"]


def test_at_the_same_layers(compare):
    outcome = compare("--methods", "grad_cam", "layer_cam", "saliency", "--layers", "middle", "final")
    assert outcome.status == 0
    with open("runs/c/scores/leaderboard.csv") as file:
        methods = list(dict.fromkeys(row["method"] for row in csv.DictReader(file)))
    cams = [f"{name} at {place}" for name in ("grad_cam", "layer_cam") for place in ("middle", "final")]
    assert methods[:5] == [*cams, "saliency (own layer)"]


def test_what_is_refused(compare):
    for words, sentence in (
        ((), "methods: give at least one, such as"),
        (("--methods", "gradcam"), "methods: gradcam is no method: did you mean grad_cam?"),
        (("--methods", "saliency", "saliency"), "methods: saliency comes twice"),
        (("--methods", "grad_cam", "--layers", "layer9"), "layer9"),
        (("--methods", "saliency", "--suite", "quik"), "suite quik does not exist: did you mean quick?"),
    ):
        outcome = compare(*words)
        assert outcome.status == 2
        assert sentence in outcome.error
    Path("runs/c").mkdir(parents=True)
    Path("runs/c/notes.txt").write_text("mine")
    foreign = compare("--methods", "saliency")
    assert foreign.status == 2
    assert "has other files, such as notes.txt" in foreign.error
    assert [entry.name for entry in Path("runs/c").iterdir()] == ["notes.txt"]


def test_the_metrics_themselves_under_test(command):
    Path("mine.yaml").write_text(SUITE)
    outcome = command("calibrate", *WORDS, "--output", "runs/k")
    assert outcome.status == 0
    with open("runs/k/metric_checks.csv") as file:
        found = {row["metric"]: row for row in csv.DictReader(file)}
    assert list(found) == ["energy", "srg"]
    assert found["energy"]["verdict"] == "passed"
    assert found["energy"]["class"] == "EnergyPointing"
    assert "energy  passed" in outcome.out
    Path("runs/k/metric_checks.md").write_text("mine")
    refused = command("calibrate", *WORDS, "--output", "runs/k")
    assert refused.status == 2
    assert "metric_checks.md is there, and is not what this version" in refused.error
