"""What a checkpoint tells of the classifier that it is of: known arguments and plain values, nothing that could run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from inspect import signature
from typing import Any

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.heads.description import known_heads
from lit_coiba.training.classifier import Classifier
from lit_coiba.training.teacher import Teacher

WEIGHTS = ("checkpoint", "pretrained")  # of a backbone: the file at hand brings them, and nothing is fetched for it


def classifier_arguments(told: Mapping[str, Any], file: str) -> dict[str, Any]:
    """The arguments of `Classifier` in a checkpoint's ``hyper_parameters``, checked one by one.

    A checkpoint may come from anyone, and the parser of the command line imports and calls what a class path names.
    So nothing reaches it but the arguments that `Classifier`, `Backbone`, `Teacher` and the heads have, plain values.

    Args:
        told: What the file tells.
        file: Its name, for messages.

    Raises:
        InputError: An argument that these classes do not have, a head that is not known, or a value that is not plain.
    """
    arguments = _known(told, signature(Classifier).parameters, "hyper_parameters", file)
    for key in ("backbone", "teacher", "head"):
        if arguments.get(key) is not None and not isinstance(arguments[key], Mapping):
            raise _refused(file, key, arguments[key])
    if arguments.get("backbone"):
        arguments["backbone"] = _backbone(arguments["backbone"], "backbone", file)
    if arguments.get("teacher"):
        teacher = _known(arguments["teacher"], signature(Teacher).parameters, "teacher", file)
        if isinstance(teacher.get("backbone"), Mapping):
            teacher["backbone"] = _backbone(teacher["backbone"], "teacher.backbone", file)
        arguments["teacher"] = teacher
    if arguments.get("head"):
        name, heads = arguments["head"].get("class"), known_heads()
        if not isinstance(name, str) or name not in heads:
            raise _refused(file, "head.class", name)
        arguments["head"] = _known(arguments["head"], {"class", *signature(heads[name]).parameters}, "head", file)
    return arguments


def _backbone(told: Mapping[str, Any], key: str, file: str) -> dict[str, Any]:
    known = _known(told, signature(Backbone).parameters, key, file)
    return {name: value for name, value in known.items() if name not in WEIGHTS}


def _known(told: Mapping[str, Any], names: Collection[str], key: str, file: str) -> dict[str, Any]:
    for name, value in told.items():
        if name not in names:
            raise _refused(file, key, name)
        if not _plain(value):
            raise _refused(file, f"{key}.{name}", value)
    return dict(told)


def _plain(value: Any) -> bool:
    """Whether a value is what YAML writes, and asks neither for a class nor for another key or the environment."""
    if isinstance(value, Mapping):
        return all(isinstance(k, str) and k not in ("class_path", "init_args") and _plain(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, bool | int | float) or (isinstance(value, str) and "${" not in value)


def _refused(file: str, key: str, value: Any) -> InputError:
    return InputError(
        f"{file} says {key} {str(value)[:80]!r}, which no checkpoint of lit-coiba fit says: it was refused, and nothing"
        " of it was run; give the model's arguments and --model.backbone.checkpoint with weights that you trust instead"
    )
