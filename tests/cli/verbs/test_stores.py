"""The verbs merge and export: what they do, say and refuse."""

from __future__ import annotations

from pathlib import Path

import lightning  # noqa: F401 - before a test captures the stream that it logs to
import numpy as np
import pytest

from lit_coiba.store import ExplanationStore


@pytest.fixture
def shards(explain, photos):
    """Two jobs that explained every other block, each in a store of its own."""
    words = ["--data.root", str(photos), "--data.batch_size", "2"]
    for i in range(2):
        assert explain(*words, "--store", f"runs/{i}", "--shard", f"{i}/2", "--pictures", "false").status == 0
    return words


def test_shards_are_merged_and_the_command_that_made_them_draws_the_sheet(shards, command, explain):
    part = command("merge", "runs/all", "runs/1")
    assert part.status == 3
    assert part.out == "2 explanations of 2 images are in runs/all\n"
    assert part.err == "lit-coiba: finished, but 2 of 3 blocks are missing from all stores\n"
    done = command("merge", "runs/all", "runs/0", "runs/1")
    assert (done.status, done.out, done.err) == (0, "6 explanations of 6 images are in runs/all\n", "")
    assert not Path("runs/all/contact_sheet.png").exists()
    merged = ExplanationStore("runs/all").digest()
    assert explain(*shards, "--store", "runs/all").status == 0
    assert explain(*shards, "--store", "runs/straight", "--pictures", "false").status == 0
    assert ExplanationStore("runs/all").digest() == merged == ExplanationStore("runs/straight").digest()
    assert Path("runs/all/contact_sheet.png").exists()


def test_export(shards, command):
    exported = command("export", "runs/0", "--format", "npz", "--output", "numbers")
    assert (exported.status, exported.out) == (0, "4 explanations are in numbers\n")
    (file,) = Path("numbers/apple").glob("1.jpg.target*.npz")
    assert np.load(file)["map"].shape == (32, 32)
    assert command("export", "runs/0", "--format=png").out == "4 explanations are in runs/0/png\n"
    assert len(list(Path("runs/0/png").rglob("*.png"))) == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["merge"], "write lit-coiba merge OUT STORE [STORE ...] (--help has examples)"),
        (["merge", "out"], "write lit-coiba merge OUT STORE [STORE ...] (--help has examples)"),
        (["merge", "out", "none"], "none is not a store (there is no such folder): give a folder written by explain"),
        (["merge", "out", "none", "--ouput", "x"], "unknown key ouput (--help lists the keys)"),
        (["export"], "write lit-coiba export STORE --format npz|png|overlay|fiftyone [--output DIR]"),
        (["export", "none"], "--format must be given (--help has examples)"),
        (["export", "none", "--format", "jpg"], "--format expects npz or png or overlay or fiftyone, got 'jpg'"),
        (["export", "none", "--outptu", "x"], "unknown key outptu: did you mean output?"),
        (["export", "none", "--format", "png"], "none is not a store (there is no such folder): give a folder "),
        (["export", "a", "b", "--format", "png"], "b is not --KEY VALUE"),
    ],
)
def test_mistakes(command, words, said):
    outcome = command(*words)
    assert outcome.status == 2
    assert outcome.error.startswith(said)
    assert not Path("out").exists()


def test_stores_of_other_arguments(shards, command, explain):
    assert explain(*shards, "--store", "top", "--model.targets", "top2").status == 0
    outcome = command("merge", "all", "runs/0", "top")
    assert outcome.status == 2
    assert outcome.error == (
        'runs/0 and top cannot be merged, since they were made with other arguments (targets "predicted" -> "top2"): '
        "merge stores of one model, method and dataset"
    )


def test_a_shard_that_there_is_not(explain, photos):
    outcome = explain("--data.root", str(photos), "--store", "x", "--shard", "3/3")
    assert outcome.status == 2
    assert outcome.error == "shard is 3/3, but must be i/n with i from 0 to n - 1, such as 0/4"


def test_an_interrupted_export_says_that_it_goes_on(shards, command, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lit_coiba.store.export._write", interrupted)
    outcome = command("export", "runs/0", "--format", "npz")
    assert outcome.status == 130
    assert outcome.err.splitlines()[-1] == "lit-coiba: interrupted; the same command continues where it stopped"
