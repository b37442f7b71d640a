"""The verb demo: its arguments reach the function, its exit status comes back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lit_coiba.cli import main
from lit_coiba.cli.verbs import demo as file


@pytest.fixture
def calls(monkeypatch):
    found = []

    def demo(output: str = "runs/demo", images: int = 64, photos: bool = True) -> int:
        """Stand-in.

        Args:
            output: Folder of results.
        """
        found.append((output, images, photos))
        return 3

    monkeypatch.setattr(file, "DEMO", replace(file.DEMO, function=demo))
    return found


def test_arguments_and_status(calls):
    assert main(["demo", "--output", "x", "--images=5", "--photos", "false"]) == 3
    assert calls == [("x", 5, False)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--outptu", "x"], "unknown key outptu: did you mean output?"),
        (["--images", "many"], "--images expects an integer, got 'many'"),
        (["here"], "here is not --KEY VALUE (a value with spaces in it needs quotes)"),
    ],
)
def test_mistakes(calls, words, said, capsys):
    assert main(["demo", *words]) == 2
    assert capsys.readouterr().err == f"lit-coiba: error: {said}\n"
    assert not calls


def test_help_of_the_real_one(capsys):
    assert main(["demo", "--help"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("usage: lit-coiba demo")
    assert "--output" in page
    assert "default runs/demo" in page
