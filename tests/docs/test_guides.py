"""Every command and every piece of Python in the guides runs, in the order of the page."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lit_coiba.cli import main
from lit_coiba.data.synthetic.dataset import SPLITS
from lit_coiba.store import ExplanationStore

GUIDES = sorted((Path(__file__).parents[2] / "docs" / "guide").glob("*.md"))
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROSE = ("exit_statuses", "limits", "python_api")  # guides without a command
NOISE = (
    "are read first for activation statistics",
    "survive pure noise",
    "in eval mode at the start",
    "smaller than the logging interval",
    "by the model summary",
)
pytestmark = pytest.mark.filterwarnings(*(f"ignore:.*{words}" for words in NOISE))


def run(command: str) -> int:
    """The exit status of a command: in this process, or with several of their own in a new one."""
    program, *words = shlex.split(command)
    assert program == "lit-coiba"
    if "ddp" not in command:
        return main(words)
    return subprocess.run([sys.executable, "-m", "lit_coiba", *words], timeout=600, check=False).returncode


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_guide(guide, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(SPLITS, "train", range(1280))  # fits take an eighth of the time
    monkeypatch.setitem(SPLITS, "val", range(10_000, 10_200))
    blocks = BLOCK.findall(guide.read_text())
    assert blocks or guide.stem in PROSE
    for language, text in blocks:
        if language == "python":
            exec(compile(text, guide.name, "exec"), {})
            continue
        for command in text.splitlines():
            assert run(command) == 0, command + capfd.readouterr().err
    if guide.stem == "heads":
        assert (
            len(list((tmp_path / "runs/features").glob("*.npy"))) == 4
        )  # training and validation: two fits share, one has no cache
        assert (tmp_path / "runs/prototypes/evaluation.md").read_text().startswith("| measure |")
        assert len(list((tmp_path / "runs/decided/decisions").glob("*.png"))) == 4
        assert "| head |" in (tmp_path / "runs/table/leaderboard.md").read_text()
        before, after = re.findall(r"(0\.\d\d) (?:before|after)", capfd.readouterr().out)[-2:]
        assert float(after) > float(before)
    if guide.stem == "datasets":
        digests = {ExplanationStore(f"runs/{name}").digest() for name in ("two", "all")}
        assert len(digests) == 1
        assert (tmp_path / "runs/table/leaderboard.md").read_text().count("\n| ") >= 5
        assert len(list((tmp_path / "runs/pictures").rglob("*.png"))) == 24
    if guide.stem == "pictures":
        assert len(list((tmp_path / "slides").glob("*.png"))) == 3
        assert {file.name for file in (tmp_path / "pictures").iterdir()} == {"overlay.png", "map.png", "shown.png"}
    if guide.stem == "training":
        assert [len(ExplanationStore(store)) for store in sorted((tmp_path / "maps").iterdir())] == [4, 4, 4]
    if guide.stem == "bits":
        few, many = re.findall(r"beta10?: (\d+) bits", capfd.readouterr().out)
        assert int(many) < int(few)
