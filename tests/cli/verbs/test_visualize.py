"""``lit-coiba visualize`` from the command line: without data, with data, twice, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from lit_coiba.feature_visualization import VisualizationRun
from tests.cli.conftest import CALM, TINY

FEW = [
    *("--model.visualizer.steps", "2"),
    *("--model.visualizer.canvas", "32"),
    *("--model.visualizer.crops", "2"),
    *("--model.visualizer.progress", "false"),
]
WORDS = [*TINY, *CALM[:4], *FEW]


def test_all_classes_without_data_and_a_second_call(command):
    first = command("visualize", *WORDS, "--output", "runs/v")
    assert first.status == 0, first.err
    assert "3 visualizations are in runs/v, drawn in visualizations.png" in first.out
    found = VisualizationRun("runs/v")
    assert [(item.cls, item.method, item.steps) for item in found.items] == [(k, "MACO", 2) for k in range(3)]
    times = {file: file.stat().st_mtime_ns for file in Path("runs/v/items").rglob("*")}
    assert command("visualize", *WORDS, "--output", "runs/v").out == first.out
    assert {file: file.stat().st_mtime_ns for file in Path("runs/v/items").rglob("*")} == times


def test_things_and_another_visualizer(command):
    words = ["--classes", "0-1", "--channels", "blocks.0:0-2", "blocks.1:5", "--pictures", "false", "--batch_size", "3"]
    outcome = command(
        "visualize", "--model.visualizer", "FourierBaseline", "--model.visualizer.lr", "0.1", *WORDS, *words,
        "--output", "runs/v",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert "6 visualizations are in runs/v" in outcome.out
    assert "drawn" not in outcome.out
    found = VisualizationRun("runs/v")
    assert found.about.visualizer["class"] == "FourierBaseline"
    assert found.about.visualizer["lr"] == 0.1
    assert sorted(item.key for item in found.items) == [
        *("channel_blocks.0_0000", "channel_blocks.0_0001", "channel_blocks.0_0002", "channel_blocks.1_0005"),
        *("class_00000", "class_00001"),
    ]


def test_natural_images_where_data_are_given(command, photos):
    outcome = command("visualize", *WORDS, "--data.root", str(photos), "--data.num_workers", "0", "--output", "runs/v")
    assert outcome.status == 0, outcome.err
    assert "Against 6 natural images: " in outcome.out
    assert "plausibility" in outcome.out
    assert VisualizationRun("runs/v").measures.images == 6


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--classes", "9"], "class 9 does not exist: the classes are 0 to 2"),
        (["--channels", "blocks.0:99"], "channel 99 does not exist: the channels of blocks.0 are 0 to 11"),
        (["--model.visualizer", "Maco"], "did you mean MACO"),
        (["--model.visualizer.spectrum", "small.npy"], "small.npy"),
        (["--model.visualizer.steps", "0"], "steps is 0"),
        (["--units", "all"], "this model has none: train one"),
        (["--concepts", "nowhere.safetensors"], "nowhere.safetensors"),
        (["--data.root", "nowhere"], "nowhere"),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(command, words, said):
    np.save("small.npy", np.ones((3, 7, 9), np.float32))
    outcome = command("visualize", *WORDS, *words, "--output", "runs/v")
    assert outcome.status == 2
    assert said in outcome.error
    assert not Path("runs/v/items").exists()


def test_the_output_is_asked_for(command):
    outcome = command("visualize", *WORDS)
    assert outcome.status == 2
    assert "output" in outcome.error
    assert "data" not in outcome.error


def test_the_page_names_the_visualizers(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    page = command("visualize", "--help").out
    assert "visualizer: MACO, or --model.visualizer FourierBaseline, or a class of your own" in page
    assert "data, which may be left out" in page
    assert "--model.visualizer.spectrum" in page
