"""Names of files, classes, stores, keys and models hold anything; no channel shows it raw, and none fails on it."""

import csv
import io
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from rich.console import Console

from lit_coiba.benchmark import Leaderboard
from lit_coiba.cli import main, terminal
from lit_coiba.cli.verbs import all_verbs
from lit_coiba.core.errors import InputError, warn
from lit_coiba.core.printable import SENTENCE, csv_cell, listed, markdown_cell, printable, sentence
from lit_coiba.store.export import export_store
from lit_coiba.store.records import Row

NASTY = {
    "escape": "\x1b]0;pwned\x07a",
    "clear": "\x1b[2J",
    "return": "good\rEVIL",
    "newline": "a\nlit-coiba: error: forged",
    "null": "a\0b",
    "backspace": "abc\b\b\b",
    "c1": "a\x9b31mb",
    "right to left": "a\u202egnp.exe",
    "isolate": "\u2066a\u2069",
    "separator": "a\u2028b",
    "surrogate": "caf\udcff",
    "zero width": "a\u200bb",
    "bom": "\ufeffa",
}
nasty = pytest.mark.parametrize("name", NASTY.values(), ids=NASTY.keys())


def shown(text: str) -> None:
    """Check that a text may stand on a terminal, in as many lines as it has."""
    for line in text.split("\n"):
        assert line.isprintable(), repr(line)


@nasty
class TestEveryChannel:
    """A name of nasty characters through each way out."""

    def test_an_error(self, name, capsys):
        error = InputError(f"root: {name} does not exist")
        shown(str(error))
        assert len(str(error).splitlines()) == 1
        terminal.fail(str(error))
        shown(capsys.readouterr().err)

    def test_a_warning(self, name):
        with pytest.warns(UserWarning, match="counts as missing") as caught:
            warn(f"{name} counts as missing")
        shown(str(caught[0].message))

    def test_a_warning_of_another_library(self, name, capsys, monkeypatch):
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
        from lit_coiba.cli.process import _show_warning

        _show_warning(UserWarning(f"cannot read {name}"))
        told = capsys.readouterr().err
        shown(told)
        assert told.count("\n") == 1

    def test_a_report(self, name, capsys):
        terminal.say(f"1 explanation of 1 image is in {name}")
        told = capsys.readouterr().out
        shown(told)
        assert told.count("\n") == 1

    def test_an_unknown_verb_key_value_class_and_file(self, name, capsys):
        for words in (
            [name],
            ["explain", f"--{name}", "1"],
            ["explain", "--data", f"./{name}"],
            ["merge", name, name],
            ["export", name, "--format", "png"],
            ["export", "s", "--format", name],
            ["methods", name],
        ):
            assert main(words) == 2
            told = capsys.readouterr()
            shown(told.err)
            assert told.err.count("\n") == 1, told.err
            assert told.out == ""

    def test_the_table_of_a_benchmark(self, name, tmp_path):
        board = Leaderboard({name: {name: torch.rand(3)}}, reference=name, higher={name: True})
        shown(board.markdown())
        stream = io.StringIO()
        board.show(Console(file=stream, width=100), title=name)
        shown(stream.getvalue())
        markdown, table, *_ = board.save(tmp_path)
        shown(markdown.read_text(encoding="utf-8"))
        shown(table.read_text(encoding="utf-8").replace("\r", ""))

    def test_the_table_of_an_export(self, name, tmp_path):
        row = Row(name, -1, 0, 0.5, torch.ones(2, 2), {})
        export_store([row], 1, "identity", "png", tmp_path)
        shown((tmp_path / "explanations.csv").read_text(encoding="utf-8").replace("\r", ""))


def test_letters_of_any_script_stay():
    for name in ("Käfer", "猫.png", "кот", "قطة", "क्ष"):
        assert printable(name) == name or "\\u" not in name
    assert printable("猫 кот é") == "猫 кот é"


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_cell_is_no_formula(cell, tmp_path):
    assert not csv_cell(cell).startswith(("=", "+", "-", "@", "\t", "\r"))
    export_store([Row(f"{cell}.png", -1, 0, 0.5, torch.ones(2, 2), {})], 1, "identity", "npz", tmp_path)
    with open(tmp_path / "explanations.csv", encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["id"].startswith("'")
    board = Leaderboard({cell: {"insertion": torch.rand(3)}})
    with open(board.save(tmp_path)[1], encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["method"].startswith("'")


def test_markdown_holds_no_html_and_no_cell_of_its_own():
    board = Leaderboard({"<script>alert(1)</script>|x": {"a|b": torch.rand(3)}})
    assert "<script" not in board.markdown()
    assert all(line.replace("\\|", "").count("|") == 3 for line in board.markdown().splitlines()[:3])
    assert markdown_cell("[a](javascript:b) `c` *d*") == "\\[a\\](javascript:b) \\`c\\` \\*d\\*"


class TestLength:
    """Every sentence has fewer than 500 characters, and keeps its remedy."""

    def test_a_long_list_is_cut(self):
        assert listed([f"class_{k}" for k in range(1000)], 10).endswith("class_9 and 990 more")

    def test_a_long_sentence_keeps_its_ends(self):
        told = str(InputError(f"weights are {'x' * 36_000}: give floating-point weights"))
        assert len(told) < SENTENCE
        assert told.startswith("weights are x")
        assert told.endswith(": give floating-point weights")

    def test_a_list_where_a_file_is_meant(self, tmp_path, capsys, monkeypatch):
        """`data.classes` as a list printed 13.5 kB, without the cure."""
        monkeypatch.chdir(tmp_path)
        Path("c.yaml").write_text(
            "data: {init_args: {classes: [" + ", ".join(f"class {k}" for k in range(1000)) + "]}}"
        )
        words = ["explain", "--model.backbone.name", "resnet18", "--data.root", ".", "--store", "s", "-c", "c.yaml"]
        assert main(words) == 2
        told = capsys.readouterr().err
        assert len(told) < SENTENCE
        assert "--data.classes expects a path" in told
        assert "File with the class names in index order" in told


def test_lines_of_other_libraries_become_one():
    assert str(InputError("cannot be read (line 1\n  line 2\r\n\tline 3): give another")) == (
        "cannot be read (line 1 line 2 line 3): give another"
    )


def test_an_error_crosses_processes_whole():
    error = InputError("root: x is not complete. Expected:", drawing="birds/\n|-- images.txt  MISSING")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "root: x is not complete. Expected:\nbirds/\n|-- images.txt  MISSING"
    assert again.sentence == "root: x is not complete. Expected:"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_terminal_of_any_encoding(encoding, tmp_path):
    """`PYTHONIOENCODING=ascii`: methods, help, and errors with an emoji in a name."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": os.pathsep.join(sys.path)}
    code = (
        "import sys; from lit_coiba import cli; from lit_coiba.cli import main, terminal; terminal.accept_any_text();"
        "codes = [main(['merge', 'x\\U0001f600', 'y\\u2191']), main(['merge', '--help'])];"
        "terminal.say('\\u2191 \\U0001f600 \\xe9'); sys.exit(0 if codes == [2, 0] else 1)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    board = Leaderboard({"a": {"m": torch.rand(3)}}, higher={"m": True})
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    board.show(Console(file=stream, width=80))


@pytest.mark.parametrize("columns", ["1", "30", "1000", "0"])
def test_a_terminal_of_any_width(columns, monkeypatch, capsys):
    """`COLUMNS=30 lit-coiba explain --help`: ValueError, invalid width (any verb, up to 34 columns)."""
    monkeypatch.setenv("COLUMNS", columns)
    for words in (["explain", "--help"], ["merge", "--help"], ["methods"], ["methods", "GradCAM"], []):
        assert main(words) == 0
    board = Leaderboard({"a" * 30: {f"metric {k}": torch.rand(3) for k in range(6)}})
    board.show(Console(width=max(int(columns), 1)))
    told = capsys.readouterr().out
    assert all(f"metric {k}" in " ".join(told.split()) for k in range(6))


@pytest.mark.parametrize("verb", all_verbs())
def test_the_help_of_every_verb_on_a_narrow_terminal(verb, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "20")
    assert main([verb, "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: lit-coiba")


def test_a_sentence_is_what_the_two_limits_say():
    assert len(sentence("x" * 10_000)) < SENTENCE
    assert sentence(" a \n b ") == "a b"
