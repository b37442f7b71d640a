"""The help of each verb: every key on it is a key, every file on it is there, and it fits a terminal."""

from __future__ import annotations

import re

import pytest
import yaml

from lit_coiba import data
from lit_coiba.cli.pages.overview import overview
from lit_coiba.cli.pages.page import parameters
from lit_coiba.cli.verb import TrainerVerb
from lit_coiba.cli.verbs import all_verbs
from lit_coiba.data.module import BlockDataModule
from lit_coiba.resources import resource

VERBS = all_verbs()
EXAMPLES = {"print_config", "KEY.help", "model.backbone.width", "model.backbone.help"}  # no keys
TRAINED = [name for name, verb in VERBS.items() if isinstance(verb, TrainerVerb)]


def flat(values: dict, prefix: str = "") -> set[str]:
    keys = set()
    for key, value in values.items():
        path = prefix if key == "init_args" else f"{prefix}.{key}".lstrip(".")
        keys |= {path} | (flat(value, path) if isinstance(value, dict) else set())
    return keys


@pytest.fixture
def page(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")

    def read(verb: str) -> str:
        outcome = command(verb, "--help")
        assert outcome.status == 0
        return outcome.out

    return read


@pytest.mark.parametrize("verb", TRAINED)
def test_every_key_on_the_page_is_one(verb, page, command):
    named = set(re.findall(r"^  --([\w.]+)", page(verb), re.MULTILINE)) - EXAMPLES
    named = {name for name in named if not name.startswith(("model.metrics.best", "model.head."))}
    words = ["--model.backbone.name", "resnet18", "--data.root", "x"]
    accepted = flat(yaml.safe_load(command(verb, *words, "--print_config").out))
    assert {"data.root", "model.backbone.name", "trainer.accelerator", "seed_everything"} <= named
    assert named <= accepted


@pytest.mark.parametrize("verb", VERBS)
def test_it_teaches_and_fits(verb, page):
    text = page(verb)
    assert text.startswith(f"usage: lit-coiba {verb} ")
    assert max(map(len, text.splitlines())) <= 120
    assert "\nexamples:\n" in text
    assert f"    lit-coiba {verb}" in text


def test_files_in_examples_are_there(page):
    text = overview(VERBS) + "".join(page(verb) for verb in TRAINED)
    files = set(re.findall(r"configs/\w+/\w+\.yaml", text))
    assert len(files) >= 3
    assert all(resource(file).exists() for file in files)


def test_how_a_parameter_is_told():
    def function(
        size: int, names: list[str] | None = None, flag: bool = False, count: int = 0, kind: str = "a"
    ) -> None:
        """Do it.

        Args:
            size: In ``pixels``.
            kind: One of
                two.
        """

    assert dict(parameters(function, "x", frozenset({"count"}))) == {
        "x.size": "In pixels. (int, required)",
        "x.names": "([str, ...] | null)",
        "x.flag": "(bool, default false)",
        "x.kind": "One of two. (str, default a)",
    }


def test_what_bases_say_of_a_parameter_need_not_be_repeated():
    """Every key of every data module is explained; a class's own words come before those of its bases."""
    offered = [getattr(data, name) for name in data.__all__]
    modules = [item for item in offered if isinstance(item, type) and issubclass(item, BlockDataModule)]
    assert len(modules) >= 7
    for module in modules:
        for key, text in parameters(module):
            assert not text.startswith("("), f"{module.__name__}.{key}"
    texts = {name: dict(parameters(getattr(data, name))) for name in ("CUB200", "StanfordDogs", "SyntheticParts")}
    assert texts["CUB200"]["root"].startswith("Folder CUB_200_2011;")
    assert texts["StanfordDogs"]["root"].startswith("Folder of the dataset; a folder above")
    assert texts["CUB200"]["num_workers"].startswith("Number of processes that read files;")
    assert texts["SyntheticParts"]["num_workers"].startswith("Number of processes that draw samples;")
    assert texts["CUB200"]["batch_size"] == texts["SyntheticParts"]["batch_size"]
