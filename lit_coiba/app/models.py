"""Models by the words of a command: files of ours, weights of a timm model, or a configuration."""

from __future__ import annotations

import os
from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import yaml

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.trained import load_trained
from lit_coiba.core.behavior import refuse_without_classes
from lit_coiba.core.errors import InputError
from lit_coiba.core.plain_values import plain_arguments
from lit_coiba.core.printable import printable
from lit_coiba.files.regular import is_regular, read_text
from lit_coiba.files.yaml_text import check_yaml
from lit_coiba.resources import resource

_CONFIGS = (".yaml", ".yml")
_READOUTS = "readout_"  # how files are named that belong to a model and are none


def models_of(words: Sequence[str]) -> dict[str, Backbone]:
    """Name to show -> model, in the order of the words.

    Args:
        words: See `model_named`.

    Raises:
        InputError: There is none, one comes twice, cannot be loaded, or has no classes.
    """
    if not words:
        raise InputError("models is empty: give one or more, such as synthetic_parts_cnn")
    found: dict[str, Backbone] = {}
    for word in words:
        name = _short(word)
        if name in found:
            raise InputError(f"models: {printable(name, 80)} comes twice: give each model once")
        model = model_named(word)
        refuse_without_classes(model)
        found[name] = model.eval()
    return found


def model_named(word: str) -> Backbone:
    """The model that a word stands for; nothing is downloaded.

    Args:
        word: A file that `fit` or `ExportWeights` wrote; the name of a shipped model, ``synthetic_parts_cnn``; a timm
            model with its weights, ``resnet50=weights.safetensors``; or a configuration with ``model.backbone``, such
            as those of ``configs/model``, ``FILE.yaml``.

    Raises:
        InputError: There is no such model, or its weights do not fit.
    """
    name, equals, file = word.partition("=")
    if equals:
        try:
            return Backbone(name, _located(file))
        except InputError as error:
            raise InputError(f"models: {error} (arguments go into a configuration, FILE.yaml)") from error
    if word.endswith(_CONFIGS):
        return _configured(Path(word).expanduser())
    if is_regular(Path(word).expanduser()):
        return Backbone.load(Path(word).expanduser())
    if word.isidentifier() and not word.startswith(_READOUTS):
        try:
            return Backbone.load(resource(f"checkpoints/{word}.safetensors"))
        except FileNotFoundError:
            pass
    names = (file.stem for file in resource("checkpoints").glob("*.safetensors"))
    shipped = sorted(name for name in names if not name.startswith(_READOUTS))
    raise InputError(
        f"models: {printable(word, 80)} is neither a file nor a shipped model ({', '.join(shipped)}): for a model of"
        " timm give its weights too, NAME=FILE"
    )


def _configured(file: Path) -> Backbone:
    """The model of a configuration.

    Raises:
        InputError: The file cannot be read, or has no model.
    """
    name = printable(file, 200)
    place = file if is_regular(file) else _shipped(file)
    text = read_text(place, "models")
    try:
        check_yaml(text, name)
        told: Any = yaml.safe_load(text)
        model = told["model"]
        backbone = model["backbone"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(f"models: {name} has no model.backbone: give a file such as those of configs/model") from error
    arguments = plain_arguments(backbone, set(signature(Backbone).parameters), "model.backbone", name)
    if arguments.get("pretrained"):
        raise InputError(f"models: {name} has pretrained weights, which would be downloaded: name a file as checkpoint")
    if arguments.get("checkpoint"):
        arguments["checkpoint"] = _located(str(arguments["checkpoint"]))
    found = Backbone(**arguments)
    if weights := model.get("weights"):
        load_trained(found, _located(str(weights)))
    elif not arguments.get("checkpoint"):
        raise InputError(f"models: {name} names no weights: give them as model.backbone.checkpoint or model.weights")
    return found


def _shipped(file: Path) -> Path:
    try:
        return resource(str(file))
    except FileNotFoundError:
        return file


def _located(file: str) -> str:
    """A file of the user, or else one that comes with the package."""
    path = Path(file).expanduser()
    if not is_regular(path) and file.startswith("checkpoints/"):
        path = _shipped(Path(file))
    return os.fspath(path)


def _short(word: str) -> str:
    """What to call a model on the page."""
    name, _, file = word.partition("=")
    return name if file else Path(word).stem if os.sep in word or "." in word else word
