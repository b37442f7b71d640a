"""What a checkpoint says about its classifier: known arguments and plain values, nothing that could run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.weights_file import backbone_arguments, without_sources
from lit_coiba.core.class_identity import is_ours
from lit_coiba.core.errors import InputError
from lit_coiba.core.plain_values import plain_arguments, refused
from lit_coiba.core.printable import described, printable
from lit_coiba.heads.description import build, head_class
from lit_coiba.resources import resource
from lit_coiba.training.teacher import teacher_class

# Where the weights of a teacher come from.
FILES = ("model.teacher.weights", "model.teacher.backbone.checkpoint", "model.teacher.backbone.pretrained")


def classifier_arguments(
    told: Mapping[str, Any],
    names: Collection[str],
    file: str,
    head: Any = None,
    teacher: Any = None,
    given: Collection[str] = (),
) -> dict[str, Any]:
    """The arguments of `Classifier` in a checkpoint's ``hyper_parameters``, checked one by one.

    A checkpoint may come from anyone, and the parser of the command line imports and calls what a class path names.
    So nothing reaches it but the arguments that `Classifier`, `Backbone`, `Teacher` and the heads have, plain values.

    Args:
        told: Content of the file.
        names: The arguments that a classifier has.
        file: Its name, for messages.
        head: The class of its head, where the caller names one outside this package.
        teacher: The class of its teacher, likewise.
        given: Keys that the caller gives itself, such as ``model.teacher.weights``.

    Raises:
        InputError: An argument that these classes do not have, a class that is not named, or a value that is not plain.
    """
    arguments = plain_arguments(told, names, "hyper_parameters", file)
    for key in ("backbone", "teacher", "head"):
        if arguments.get(key) is not None and not isinstance(arguments[key], Mapping):
            raise refused(file, key, arguments[key])
    if arguments.get("backbone"):
        known = signature(Backbone).parameters
        arguments["backbone"] = without_sources(backbone_arguments(arguments["backbone"], known, "backbone", file))
    if arguments.get("head"):
        kind = head_class(arguments["head"].get("class"), head, file)
        arguments["head"] = plain_arguments(arguments["head"], {"class", *signature(kind).parameters}, "head", file)
    if arguments.get("teacher"):
        arguments["teacher"] = _teacher(arguments["teacher"], teacher, file, given)
    return arguments


def rebuilt(told: Mapping[str, Any], names: Collection[str], file: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by which a classifier is made as a checkpoint describes it, its head and its teacher built.

    Args:
        told: Content of the file.
        names: The arguments that a classifier has.
        file: Its name, for messages.
        given: Arguments in the place of those in the file; a class as `head` or `teacher` names that of the file.

    Raises:
        InputError: See `classifier_arguments`; or neither the file nor the caller has a backbone.
    """
    head, teacher = (kind if isinstance(kind := given.get(key), type) else None for key in ("head", "teacher"))
    named = {key for key, kind in (("head", head), ("teacher", teacher)) if kind is not None}
    asked = {name: value for name, value in told.items() if name in named or name not in given}
    saved = classifier_arguments(asked, names, file, head, teacher)
    arguments = {name: value for name, value in saved.items() if name not in ("head", "teacher")} | dict(given)
    if not arguments.get("backbone"):
        raise InputError(
            f"{printable(file, 200)} has no arguments of its backbone: give the backbone, backbone=Backbone.wrap(...)"
        )
    if saved.get("head"):
        built = build(saved["head"], head, file)
        arguments["head"] = lambda channels, classes: built
    if saved.get("teacher"):
        kind = teacher_class(saved["teacher"], teacher, file)
        arguments["teacher"] = kind(**{name: value for name, value in saved["teacher"].items() if name != "class"})
        arguments["teacher"].head = head or arguments["teacher"].head
    return arguments


def config_arguments(
    told: Mapping[str, Any],
    names: Collection[str],
    file: str,
    named: Mapping[str, tuple[str, type]],
    teaches: bool = True,
    given: Collection[str] = (),
) -> dict[str, Any]:
    """The same as a config file says it.

    Args:
        told: Content of the file.
        names: The arguments that a classifier has.
        file: Its name, for messages.
        named: ``head`` and ``teacher`` -> path and class, where the command names one outside this package.
        teaches: Whether a teacher is needed, whose class has to be named then.
        given: Keys that the command gives itself.

    Raises:
        InputError: See `classifier_arguments`.
    """
    classes = {key: kind for key, (_, kind) in named.items()}
    if not teaches:
        given = FILES
        if isinstance(teacher := told.get("teacher"), Mapping) and "class" in teacher:
            told = {**told, "teacher": None}
    arguments = classifier_arguments(told, names, file, classes.get("head"), classes.get("teacher"), given)
    if not arguments.get("backbone"):  # made by the user's own function, which the command has to name again
        arguments.pop("backbone", None)
    if arguments.get("head"):
        kind = head_class(arguments["head"].pop("class"), classes.get("head"), file)
        taken = list(signature(kind).parameters)[:2]  # which the backbone gives: channels and classes
        own = {name: value for name, value in arguments["head"].items() if name not in taken}
        path = f"lit_coiba.heads.{kind.__name__}" if is_ours(kind) else named["head"][0]
        arguments["head"] = {"class_path": path, "init_args": own}
    if arguments.get("teacher") and arguments["teacher"].pop("class", None):
        arguments["teacher"] = {"class_path": named["teacher"][0], "init_args": arguments["teacher"]}
    return arguments


def _teacher(told: Mapping[str, Any], named: Any, file: str, given: Collection[str]) -> dict[str, Any]:
    kind = teacher_class(told, named, file)
    teacher = plain_arguments(told, {"class", *signature(kind).parameters}, "teacher", file)
    if is_ours(kind):
        teacher.pop("class", None)
    if isinstance(teacher.get("backbone"), Mapping):
        known = signature(Backbone).parameters
        teacher["backbone"] = backbone_arguments(teacher["backbone"], known, "teacher.backbone", file)
    return _without_files(teacher, file, given)


def _without_files(teacher: dict[str, Any], file: str, given: Collection[str]) -> dict[str, Any]:
    """The teacher without the weights that the command names itself.

    Raises:
        InputError: Other weights that would be fetched, or read from elsewhere.
    """
    for key in FILES:
        where, name = teacher.get("backbone") if ".backbone." in key else teacher, key.rpartition(".")[2]
        if not isinstance(where, dict):
            continue
        told = where.get(name)
        if told is None or told is False or _inside(told):
            continue
        if key not in given:
            raise InputError(
                f"{printable(file, 200)} was trained with {key} {described(told)}, and no file may have another one"
                f" fetched, or read from outside the working folder: name it too, --{key} {printable(told, 100)}"
            )
        del where[name]
    return teacher


def _inside(path: Any) -> bool:
    """Whether a file that a checkpoint names lies in the working folder, or comes with this package."""
    if not isinstance(path, str) or "://" in path:
        return False
    try:
        place = Path(path).resolve()
        homes = [Path.cwd().resolve(), resource("checkpoints").resolve()]
    except (OSError, RuntimeError, ValueError):
        return False
    return any(home in place.parents for home in homes)
