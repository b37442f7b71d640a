"""What every verb owes: a line, examples that its parser takes, a report. A file is all that a new one needs."""

from __future__ import annotations

import re
import shlex
from inspect import signature
from pathlib import Path

import pytest

from lit_coiba.cli import main, verbs
from lit_coiba.cli.pages.function_help import help_page
from lit_coiba.cli.parsing.function_arguments import function_arguments
from lit_coiba.cli.verb import FunctionVerb, TrainerVerb, Verb
from lit_coiba.cli.verbs import all_verbs
from lit_coiba.trainer import Trainer

VERBS = all_verbs()
WORDS = {"NAME": "resnet18", "DIR": "images", "FILE": "weights.safetensors"}  # in the place of those in examples
NEW = '''
"""A verb."""

from lit_coiba.cli.verb import FunctionVerb


def count(folder: str, times: int = 1) -> int:
    """Count to a number.

    Args:
        folder: Folder of nothing.
        times: How often.
    """
    print(folder, *range(times))
    return 3


COUNT = FunctionVerb(
    name="count",
    summary="count to a number",
    position=25,
    function=count,
    usage="count FOLDER [--times N]",
    positional=("folder",),
    resumable=True,
    examples="  Once:\\n    lit-coiba count here --times 2",
)
'''


def commands(verb: Verb) -> list[list[str]]:
    """The commands on a verb's help page, as words after ``lit-coiba``; what they leave out is left out."""
    text = verb.examples.replace("\\\n", " ")
    lines = re.findall(r"^    lit-coiba (.*)$", text, re.MULTILINE)
    return [[WORDS.get(word, word) for word in shlex.split(line) if word != "..."] for line in lines]


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_it_is_told_in_a_line(verb):
    assert verb.name.isidentifier()
    assert 20 < len(verb.summary) < 107
    assert verb.summary[0].islower() or verb.summary.startswith("loss")
    assert not verb.summary.endswith(".")


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_its_examples_parse(verb, command):
    """Commands of the verb itself and of others, each with the parser of its verb."""
    shown = commands(verb)
    assert verb.name in {name for name, *_ in shown}
    Path("checkpoints").mkdir()
    for name, *words in shown:
        other = VERBS[name]
        if isinstance(other, FunctionVerb):
            assert set(function_arguments(other, words)) == set(signature(other.function).parameters)
            continue
        if "--ckpt_path" in words:  # which is read for its arguments, and is not there
            words[words.index("--ckpt_path") : words.index("--ckpt_path") + 2] = ["--model.backbone.name", "resnet18"]
        if not any(word.startswith("--model.backbone") for word in words):
            words += ["--model.backbone.name", "resnet18"]
            words += [] if "--data" in words else ["--data.root", "images"]
        outcome = command(name, *words, "--print_config")
        assert outcome.status == 0, outcome.err
        assert outcome.out.startswith("# lightning")


@pytest.mark.parametrize("verb", [v for v in VERBS.values() if isinstance(v, TrainerVerb)], ids=lambda verb: verb.name)
def test_a_method_of_the_trainer_takes_its_module(verb):
    arguments = signature(getattr(Trainer, verb.name)).parameters
    assert {"model", "datamodule"} <= arguments.keys()
    assert set(verb.defaults) <= signature(verb.module_class()).parameters.keys()
    assert list(signature(verb.report).parameters)[1] == "command"


@pytest.mark.parametrize("verb", [v for v in VERBS.values() if isinstance(v, FunctionVerb)], ids=lambda verb: verb.name)
def test_a_function_says_what_its_arguments_are(verb):
    page = help_page(verb)
    told = re.findall(r"^  (?:--)?(\w+) +(\w.*)$", page.partition("\narguments:\n")[2] or page, re.MULTILINE)
    names = {name.lower() for name, _ in told}
    assert signature(verb.function).parameters.keys() <= names
    assert verb.usage.split()[0] == verb.name


def test_places_in_the_overview_are_taken_once():
    positions = [verb.position for verb in VERBS.values()]
    assert positions == sorted(set(positions))


def test_a_file_is_all_that_a_new_verb_needs(tmp_path, monkeypatch, capsys):
    (tmp_path / "count.py").write_text(NEW)
    monkeypatch.setattr(verbs, "__path__", [*verbs.__path__, str(tmp_path)])

    def said(*words: str) -> str:
        main(list(words))
        return "".join(capsys.readouterr())

    lines = [line.split()[0] for line in said("--help").splitlines() if re.match(r"  \w+ {2,}\w", line)]
    assert lines.index("explain") < lines.index("count") < lines.index("methods")
    assert "usage: lit-coiba count FOLDER [--times N]" in said("count", "--help")
    assert "did you mean count" in said("cuont")
    assert main(["count", "here", "--times", "2"]) == 3
    assert capsys.readouterr().out == "here 0 1\n"
    assert said("count", "here", "--tims", "2") == "lit-coiba: error: unknown key tims: did you mean times?\n"
