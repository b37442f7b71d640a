"""docs/extending.md: each file, command and piece of Python runs, in the order of the page."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch

from lit_coiba.cli import main, verbs
from lit_coiba.data.synthetic.dataset import SPLITS
from lit_coiba.store import ExplanationStore
from tests.docs.test_guides import BLOCK, NOISE, run

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
pytestmark = pytest.mark.filterwarnings(*(f"ignore:.*{words}" for words in NOISE))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory. Its package stays imported: jsonargparse looks at all classes that there are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(verbs, "__path__", [*verbs.__path__, str(tmp_path / "lit_coiba/cli/verbs")])
    yield
    sys.modules.pop(f"{verbs.__name__}.digest", None)


@pytest.mark.parametrize("word", ["method", "metric", "head", "training", "dataset", "verb"])
def test_it_has_one_of_each(word):
    assert f"\n## A {word}\n" in PAGE.read_text()


def test_everything_on_the_page_runs(folder, monkeypatch, capsys):
    monkeypatch.setitem(SPLITS, "train", range(640))
    monkeypatch.setitem(SPLITS, "val", range(10_000, 10_032))
    blocks = BLOCK.findall(PAGE.read_text())
    assert {language for language, _ in blocks} == {"python", "sh"}
    for language, text in blocks:
        if language == "sh":
            for command in text.splitlines():
                assert run(command) == 0, command + capsys.readouterr().err
        elif file := re.match(r"# (\S+\.py)\n", text):
            Path(file[1]).parent.mkdir(parents=True, exist_ok=True)
            Path(file[1]).write_text(text)
        else:
            exec(compile(text, PAGE.name, "exec"), {})
    assert capsys.readouterr().out.splitlines()[-1] == ExplanationStore("runs/norm").digest()
    identity = ExplanationStore("runs/norm").manifest.identity["method"]
    assert identity == {"class": "my_lab.method.GradientNorm", "order": 1.0}
    assert "| complexity" in Path("runs/table/leaderboard.md").read_text().splitlines()[0]
    assert [len(ExplanationStore(f"runs/{name}/store")) for name in ("max", "squares")] == [4, 4]

    (file,) = Path("runs/focal").rglob("*.ckpt")
    saved = torch.load(file, weights_only=True)
    assert (saved["lit_coiba.class"], saved["hyper_parameters"]["gamma"]) == ("my_lab.training.Focal", 1.0)

    # What the page says of files: without its name on the command line the head is refused.
    (file,) = Path("runs/max").rglob("*.ckpt")
    model = ["-c", "configs/model/synthetic_parts_cnn.yaml", "--data", "SyntheticParts", "--model.method", "Saliency"]
    assert main(["explain", *model, "--model.weights", str(file), "--store", "runs/refused"]) == 2
    assert "--model.head my_lab.head.MaxHead" in capsys.readouterr().err
