"""The top of the command line: verbs, help, version; nothing heavy is imported for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path

import pytest

from lit_coiba import __version__
from lit_coiba.cli import main, run, verbs
from lit_coiba.cli.verb import TrainerVerb, Verb
from lit_coiba.cli.verbs import all_verbs
from lit_coiba.trainer import Trainer


def test_help_as_a_process_imports_no_torch():
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "lit_coiba", "--help"], capture_output=True, text=True, env=environment, timeout=60
    )
    imported = set(re.findall(r"\|\s+([\w.]+)$", done.stderr, re.MULTILINE))
    assert done.returncode == 0
    assert "lit_coiba.cli.pages.overview" in imported
    assert not imported & {"torch", "lightning", "timm", "jsonargparse", "yaml", "numpy"}
    assert "lit-coiba explain -c configs/method/coiba.yaml" in done.stdout


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"], ["help"]])
def test_help_has_a_line_for_every_verb_and_fits_a_terminal(words, capsys):
    assert main(words) == 0
    page = capsys.readouterr().out
    assert all(re.search(rf"^  {verb} +\w", page, re.MULTILINE) for verb in all_verbs())
    assert "LIT_COIBA_DEBUG" in page
    assert max(map(len, page.splitlines())) <= 120


def test_a_verb_is_called_like_its_file():
    found = {}
    for file in Path(verbs.__file__).parent.glob("[a-z]*.py"):
        module = import_module(f"{verbs.__name__}.{file.stem}")
        found[file.stem] = {value.name for value in vars(module).values() if isinstance(value, Verb)}
    assert found.pop("evaluation") == {"validate", "test", "predict"}
    assert found == {name: {name} for name in all_verbs().keys() - {"validate", "test", "predict"}}
    assert {"demo", "explain", "methods"} <= found.keys()


def test_every_method_of_the_trainer_is_a_verb():
    ours = [kind for kind in Trainer.__mro__ if kind.__module__.startswith("lit_coiba.")]
    own = {name for kind in ours for name, value in vars(kind).items() if callable(value) and not name.startswith("_")}
    assert {"fit", "explain", "benchmark"} <= own
    told = {name for name, verb in all_verbs().items() if isinstance(verb, TrainerVerb)}
    assert told == own | {"validate", "test", "predict"}  # which are Lightning's


def test_the_entry_point(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["lit-coiba", "--version"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    with warnings.catch_warnings():
        with pytest.raises(SystemExit, match="0"):
            run()
        warnings.simplefilter("always")
        warnings.warn("few images:\n  take more", stacklevel=1)
    assert sys.path[-1] == os.getcwd()
    assert capsys.readouterr().err == "lit-coiba: warning: few images: take more\n"


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"lit-coiba {__version__}\n"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("explian", "unknown verb 'explian': did you mean explain?"),
        ("unheardof", "unknown verb 'unheardof': lit-coiba --help lists the verbs"),
        ("--data.root", "--data.root is before the verb: write lit-coiba VERB --data.root ..."),
    ],
)
def test_what_is_no_verb(word, said, capsys):
    assert main([word]) == 2
    assert capsys.readouterr().err.startswith(f"lit-coiba: error: {said}")
