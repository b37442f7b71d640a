"""``lit-coiba concepts`` and ``lit-coiba audit`` from the command line."""

from pathlib import Path

import pytest

from lit_coiba.concepts import ConceptRun
from tests.cli.conftest import CALM, TINY

FEW = ["--model.layer", "blocks.0", "--model.measured", "2", "--model.n_samples", "4", "--model.stability", "false"]
SEMI = ["--model.factorization", "SemiNMF", "--model.factorization.n_concepts", "2"]


@pytest.fixture
def concepts(command, photos):
    return lambda *words: command("concepts", *TINY, *CALM, *FEW, "--data.root", str(photos), *words)


def test_every_class_then_nothing_again_then_a_rule(command, concepts):
    first = concepts(*SEMI, "--output", "runs/c")
    assert first.status == 0, first.err
    run = ConceptRun("runs/c")
    assert f"{2 * len(run.classes)} concepts of {len(run.classes)} class" in first.out
    assert "lit-coiba explorer runs/c --out site" in first.out
    times = {file: file.stat().st_mtime_ns for file in Path("runs/c/classes").rglob("*.json")}
    assert concepts(*SEMI, "--output", "runs/c").status == 0
    assert {file: file.stat().st_mtime_ns for file in Path("runs/c/classes").rglob("*.json")} == times
    Path("rules.yaml").write_text(f"- {{class: {run.classes[0]}, concept: 0, most: -100}}\n")
    broken = command("audit", "runs/c", "rules.yaml", "--output", "audit.md")
    assert broken.status == 4
    assert "1 of 1 rule broken" in broken.out
    assert Path("audit.md").read_text().startswith("| | class | concept |")
    Path("rules.yaml").write_text(f"- {{class: {run.classes[0]}, concept: 0, measure: importance, most: 100}}\n")
    assert command("audit", "runs/c", "rules.yaml").status == 0


def test_the_factorization_follows_from_the_activations(concepts):
    outcome = concepts("--output", "runs/c", "--model.images", "1")
    assert outcome.status == 0
    assert "measured on a single image" in outcome.out
    assert "95% interval" not in outcome.out
    told = ConceptRun("runs/c").manifest.identity["factorization"]
    assert (told["class"], told["n_concepts"]) == ("SemiNMF", 10)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.factorization", "NMF"], "negative values"),
        (["--model.factorization", "ICA"], "model.factorization: class ICA does not exist"),
        (["--classes", "leopard"], "classes: leopard does not exist: give names, or numbers from 0 to 2"),
        (["--model.layer", "blocks.9"], "blocks.9"),
        (["--model.crop_size", "99"], "crop_size is 99"),
        (["--model.measured", "0"], "measured"),
    ],
)
def test_bad_input_is_one_sentence(concepts, words, message):
    outcome = concepts("--output", "runs/c", *words)
    assert outcome.status == 2
    assert message in outcome.error
    assert not Path("runs").exists()


def test_help_teaches(command):
    outcome = command("concepts", "--help")
    assert outcome.status == 0
    for text in (
        "--model.factorization",
        "--model.measured",
        "started twice at once, both share the classes",
        "--classes",
    ):
        assert text in outcome.out
    assert "status 4" in command("audit", "--help").out
