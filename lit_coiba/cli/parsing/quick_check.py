"""Words that no verb knows are found before PyTorch is loaded, which takes seconds.

Names of options are read from the text of the source: nothing is imported for it. What is not found here, the parser
finds later.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from lit_coiba.cli.verb import TrainerVerb
from lit_coiba.core.errors import InputError
from lit_coiba.core.near_names import did_you_mean

PACKAGE = Path(__file__).parents[2]
_ALWAYS = ("trainer", "model", "data", "config", "c", "print_config", "seed_everything", "help")
# Classes whose methods the verbs are.
_VERBS = (
    ("lit_coiba.trainer.trainer", "Trainer"),
    ("lit_coiba.trainer.scoring_verbs", "ScoringVerbs"),
    ("lit_coiba.trainer.representativity", "FoldVerb"),
    ("lit_coiba.trainer.concepts", "ConceptVerb"),
    ("lit_coiba.trainer.dictionary", "DictionaryVerb"),
    ("lit_coiba.trainer.visualize", "VisualizationVerb"),
)
_LIGHTNINGS = {
    "fit": ("ckpt_path",),
    "validate": ("ckpt_path", "verbose"),
    "test": ("ckpt_path", "verbose"),
    "predict": ("ckpt_path",),
}
_TRAINS = ("fit", "dictionary")
# What people write for what is called otherwise here: the option, and for which verbs that is.
_MEANT = {
    "output": ("--store DIR", ("explain",)),
    "out": ("--store DIR", ("explain",)),
    "visualizer": ("--model.visualizer NAME", None),
    "concept": ("--concepts FILE", ("visualize",)),
    "statistics output": ("--file FILE", None),  # of this verb only
    "statistics store": ("--file FILE", None),
    "store": ("--stores DIR ...", ("benchmark",)),
    "preset": ("-c configs/method/coiba_fast.yaml (lit-coiba methods NAME lists the files of a method)", None),
    "method": ("--model.method NAME", None),
    "targets": ("--model.targets", None),
    "target": ("--model.targets", None),
    "head": ("--model.head NAME", None),
    "weights": ("--model.weights FILE", None),
    "checkpoint": ("--model.backbone.checkpoint FILE", None),
    "backbone": ("--model.backbone.name NAME", None),
    "root": ("--data.root DIR", None),
    "images": (
        "--data.root DIR",
        ("explain", "benchmark", "fit", "validate", "test", "predict", "prototypes", "concepts", "dictionary"),
    ),
    "batch_size": ("--data.batch_size", None),
    "device": ("--trainer.devices", None),
    "devices": ("--trainer.devices", None),
    "gpus": ("--trainer.devices", None),
    "epochs": ("--trainer.max_epochs", None),
    "max_epochs": ("--trainer.max_epochs", None),
    "seed": ("--seed_everything", None),
    "lr": ("--model.lr", None),
    "metrics": ("--model.metrics.NAME CLASS", None),
    "resume": ("--ckpt_path FILE", _TRAINS),
    "version": ("lit-coiba --version, without a verb", None),
}


def check_words(verb: TrainerVerb, args: list[str]) -> None:
    """Refuse options whose first part no key of the verb begins with, and a method whose name is nearly right.

    Args:
        verb: The verb.
        args: The words after it.

    Raises:
        InputError: There is one.
    """
    own = set[str]().union(*(_parameters(module, kind, verb.name) for module, kind in _VERBS))
    known = [*_ALWAYS, *_LIGHTNINGS.get(verb.name, ()), *(own - {"model", "datamodule"})]
    before = ""
    for word in args:
        if word.startswith("--") and len(word) > 2:
            key = word[2:].partition("=")[0]
            first = key.partition(".")[0]
            if first not in known:
                raise InputError(f"unknown key {key}{_hint(verb, first, known)}")
            before = key
            continue
        if before == "data" and _is_path(word):
            raise InputError(
                f"--data {word} is a path, but --data takes a class: write --data.root {word} for a folder of images"
            )
        before = ""


def check_folders(stores: Iterable[str], what: str = "a store", remedy: str = "a folder written by explain") -> None:
    """Refuse folders of results that do not exist.

    Args:
        stores: The folders.
        what: What each should be.
        remedy: What to give instead.

    Raises:
        InputError: One does not exist.
    """
    for store in stores:
        if not os.path.isdir(os.path.expanduser(store)):
            raise InputError(f"{store} is not {what} (there is no such folder): give {remedy}")


def _hint(verb: TrainerVerb, first: str, known: list[str]) -> str:
    word = first.replace("-", "_")
    meant, verbs = _MEANT.get(f"{verb.name} {word}") or _MEANT.get(word, ("", None))
    if meant and (verbs is None or verb.name in verbs):
        return f": did you mean {meant}?"
    section, *rest = word.split("_")
    if section in ("data", "model", "trainer") and rest:  # data-root, as other programs write it
        inner = [rest.pop(0)] if rest[0] in ("backbone", "method") and len(rest) > 1 else []
        return f": did you mean --{'.'.join([section, *inner, '_'.join(rest)])}?"
    return did_you_mean(first, known, f" (lit-coiba {verb.name} --help lists the keys)")


def _is_path(word: str) -> bool:
    """Whether a word is a folder or an image, and no class, configuration or file with one."""
    if word.startswith("{") or word.endswith((".yaml", ".yml", ".json")):
        return False
    return "/" in word or word.startswith((".", "~")) or os.path.isdir(word)


@cache
def _parameters(module: str, kind: str, function: str) -> set[str]:
    """Names of the parameters of a method, from the text of its module; empty where the class does not define it."""
    file = Path(PACKAGE, *module.split(".")[1:]).with_suffix(".py")  # importing its package would load PyTorch
    tree = ast.parse(file.read_bytes())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind]
    methods = [node for one in classes for node in one.body if isinstance(node, ast.FunctionDef)]
    return {
        argument.arg
        for method in methods
        if method.name == function
        for argument in (*method.args.args, *method.args.kwonlyargs)
        if argument.arg != "self"
    }
