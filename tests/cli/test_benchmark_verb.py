"""``lit-coiba benchmark`` from the command line: the table, a second call, what is refused."""

import csv
import shutil
from pathlib import Path

import pytest

from lit_coiba.attribution import RandomMap, Saliency
from lit_coiba.backbones import Backbone
from lit_coiba.data import SyntheticParts
from lit_coiba.modules.explainer import Explainer
from lit_coiba.resources import resource
from lit_coiba.store import ExplanationStore
from lit_coiba.trainer import Trainer

MODEL = ["-c", "configs/model/synthetic_parts_cnn.yaml", "--data", "SyntheticParts", "--data.batch_size", "4"]
CALM = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
WORDS = ["-c", "configs/benchmark/cells.yaml", *MODEL, *CALM, "--limit", "8", "--pictures", "false"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Stores of two methods that cost little, on eight test images."""
    model = Backbone.load(resource("checkpoints/synthetic_parts_cnn.safetensors"))
    folder = tmp_path_factory.mktemp("made")
    for method in (Saliency(), RandomMap()):
        trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
        data, name = SyntheticParts(batch_size=4), type(method).__name__
        trainer.explain(Explainer(model, method), data, str(folder / name), limit=8)
    return folder


@pytest.fixture
def stores(made, command):
    shutil.copytree(made, "runs")


def test_table_scores_and_a_second_call(stores, command):
    words = ["benchmark", *WORDS, "--stores", "runs/Saliency", "runs/RandomMap", "--output", "runs/table"]
    first = command(*words)
    assert first.status == 0
    assert "Which explanation to believe" in first.out
    assert "The table is in runs/table/leaderboard.md" in first.out
    with open("runs/table/leaderboard.csv") as file:
        rows = {(row["method"], row["metric"]): float(row["mean"]) for row in csv.DictReader(file)}
    methods = ["Saliency", "RandomMap", "Oracle", "Edges", "Center"]  # the first two are the references, too
    metrics = ["insertion", "deletion", "pointing", "energy", "relevance_rank", "insertion - deletion"]
    assert list(rows) == [(method, metric) for method in methods for metric in metrics]
    for metric in ("insertion", "pointing", "energy", "relevance_rank", "insertion - deletion"):
        assert rows["Oracle", metric] >= rows["Saliency", metric] > rows["RandomMap", metric]
    scores = ExplanationStore("runs/table/Oracle")
    assert len(scores) == 8
    digest = scores.digest()
    assert not Path("runs/table/leaderboard.png").exists()
    Path("runs/table/leaderboard.md").unlink()
    assert command(*words).out == first.out
    assert Path("runs/table/leaderboard.md").exists()
    assert ExplanationStore("runs/table/Oracle").digest() == digest


def test_references_are_made_where_no_store_has_them(stores, command):
    def scores(name):
        return {row.id: {k: v.tolist() for k, v in row.extras.items()} for row in ExplanationStore(name)}

    words = ["benchmark", *WORDS, "--stores"]
    assert command(*words, "runs/Saliency", "--output", "runs/one").status == 0
    assert command(*words, "runs/RandomMap", "--output", "runs/other").status == 0
    assert scores("runs/one/Random") == scores("runs/other/RandomMap")
    assert scores("runs/other/Saliency") == scores("runs/one/Saliency")
    assert not Path("runs/other/Random").exists()


@pytest.mark.parametrize("name", ["random", "Saliency", "Oracle"])
def test_a_store_that_has_the_name_of_another_row(stores, command, name):
    other = "Saliency" if name == "random" else "RandomMap"
    shutil.copytree(f"runs/{other}", f"others/{name}")
    outcome = command("benchmark", *WORDS, "--stores", f"others/{name}", "--output", "runs/table")
    assert outcome.status == 2
    assert f"others/{name} has the name of a row" in outcome.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--stores", "runs/none"], "runs/none is not a store"),
        (["--stores", "runs/Saliency", "runs/Saliency"], "names a folder twice"),
        (["--stores", "runs/Saliency", "--data.classes", "x"], "classes"),
        (["--stores", "runs/Saliency", "-c", "configs/model/synthetic_parts_vit.yaml"], "explains another model"),
        (["--stores", "runs/Saliency", "--model.metrics.best", "CoIBA"], "CoIBA"),
    ],
)
def test_what_is_refused(stores, command, words, sentence):
    outcome = command("benchmark", *WORDS, *words, "--output", "runs/table")
    assert outcome.status == 2
    last = outcome.err.strip().splitlines()[-1]
    assert last.startswith("lit-coiba: error: ")
    assert sentence in last


def test_a_mistake_leaves_nothing_behind(stores, command):
    words = ["benchmark", *WORDS, "--stores", "runs/Saliency", "--output", "runs/table"]
    wrong = command(*words, "--model.metrics.insertion.steps", "500")
    assert wrong.status == 2
    assert "steps is 500, but there are 64 pixels or cells" in wrong.err
    assert not Path("runs/table").exists()
    assert command(*words).status == 0


def test_a_store_is_no_place_for_a_table(stores, command):
    outcome = command("benchmark", *WORDS, "--stores", "runs/Saliency", "--output", "runs/RandomMap")
    assert outcome.status == 2
    assert "output runs/RandomMap is itself one of the stores" in outcome.err
    assert not list(Path("runs/RandomMap").glob("leaderboard*"))


def test_what_is_not_scored_yet_or_not_compared_is_told(stores, command):
    words = ["benchmark", *WORDS, "--stores", "runs/Saliency", "runs/RandomMap"]
    for block in ExplanationStore("runs/RandomMap").path.glob("blocks/*"):
        block.unlink()
    model = Backbone.load(resource("checkpoints/synthetic_parts_cnn.safetensors"))
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
    trainer.explain(Explainer(model, RandomMap()), SyntheticParts(batch_size=4), "runs/RandomMap", 8, shard="0/2")
    with pytest.warns(
        UserWarning, match="4 explanations compared, others of 4 images left out, such as .* are not in all stores"
    ):
        few = command(*words, "--output", "runs/few")
    assert "Mean over 4 explanations" in few.out
    words = ["benchmark", *WORDS, "--stores", "runs/Saliency", "--output", "runs/half"]
    assert "4 more are not scored by all" in " ".join(command(*words, "--shard", "0/2").out.split())
    assert "more are not scored" not in command(*words, "--shard", "1/2").out


def test_more_or_fewer_images_a_forward_are_the_same_scores(stores, command):
    words = ["benchmark", *WORDS, "--stores", "runs/Saliency", "--output", "runs/table"]
    first = command(*words)
    again = command(*words, "--model.metrics.insertion.chunk", "3")
    assert (again.status, again.out) == (0, first.out)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--model.metrics.best", "Insertoin"], "class Insertoin does not exist: did you mean Insertion?"),
        (["--model.metrics.best", "Quality"], "class Quality does not exist; give its path"),
    ],
)
def test_names_of_metrics(stores, command, words, sentence):
    outcome = command("benchmark", *WORDS, "--stores", "runs/Saliency", *words)
    assert outcome.status == 2
    assert sentence in outcome.err
