"""The verbs explorer and serve: what they do, say and refuse."""

from __future__ import annotations

from pathlib import Path

import lightning  # noqa: F401 - before a test captures the stream that it logs to
import pytest

from tests._testers.explorer_runs import World, write_runs


@pytest.fixture
def folders(command):
    write_runs(Path("first"), World(3, 3))
    write_runs(Path("second"), World(3, 3, model="another", seed=1))
    return ["first/concepts", "first/Saliency"]


def test_a_site_is_built_and_again_nothing_is_made(folders, command):
    words = ("explorer", *folders, "--out", "site", "--other", "second/concepts", "second/Saliency")
    done = command(*words)
    assert (done.status, done.out, done.err) == (0, "3 classes, 5 parts made: open site/index.html\n", "")
    assert Path("site/compare/00002.html").is_file()
    assert command(*words).out == "3 classes, nothing had changed: open site/index.html\n"


def test_a_class_is_written_as_one_file(folders, command):
    done = command("explorer", *folders, "--out", "site", "--single", World(3, 3).class_names[2])
    assert (done.status, done.out.splitlines()[-1]) == (0, "Class 2 is in site/single/00002.html")
    text = Path("site/single/00002.html").read_text()
    assert "data:image/webp;base64," in text
    assert command("explorer", *folders, "--out", "site", "--single", "0", "--single_file", "a.html").status == 0
    assert command("explorer", *folders, "--out", "site").out.startswith("3 classes, nothing had changed")
    assert Path("site/single/00002.html").read_text() == text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["explorer"], "write lit-coiba explorer RUN [RUN ...] --out DIR"),
        (["explorer", "first/concepts"], "--out must be given"),
        (["explorer", "none", "--out", "site"], "none is not a run (there is no such folder): give folders of results"),
        (["explorer", "first/concepts", "--out", "first"], "out first is not a folder of this verb"),
        (["explorer", "first/concepts", "second/Saliency", "--out", "site"], "is of another model or other weights"),
        (["explorer", "first/concepts", "--out", "site", "--single", "dog"], "single: no class has the name dog"),
        (
            ["explorer", "first/concepts", "--out", "site", "--single", "7"],
            "has no page of class 7: give another class",
        ),
        (["explorer", "first/concepts", "--out", "site", "--ouput", "x"], "unknown key ouput"),
        (["serve", "first"], "first is not a site that lit-coiba explorer has written"),
        (["serve", "none"], "none is not a site (there is no such folder)"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(folders, command, words, said):
    done = command(*words)
    assert done.status == 2
    assert said in done.err
    assert done.err.count("\n") == 1
