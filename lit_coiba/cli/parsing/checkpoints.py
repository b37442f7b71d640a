"""The model's arguments that a checkpoint holds, as the keys of a config file."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any, NamedTuple

from lit_coiba import training
from lit_coiba.cli.parsing.named_classes import named_classes
from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import described, printable
from lit_coiba.files.regular import is_regular
from lit_coiba.training.checkpoint_file import read_checkpoint
from lit_coiba.training.classifier import CLASS, Classifier
from lit_coiba.training.saved_arguments import config_arguments


class SavedModule(NamedTuple):
    """What the checkpoint of ``--ckpt_path`` says of its module."""

    path: str
    name: str | None  # of its class; None = it says none
    arguments: Mapping[str, Any]


def saved_module(args: list[str]) -> SavedModule | None:
    """What the checkpoint of ``--ckpt_path`` says of its module, read once for a command; None where there is none.

    Raises:
        InputError: The checkpoint does not exist or cannot be read.
    """
    path = _given(args)
    if path is None:
        return None
    content = read_checkpoint(path)
    name = content.get(CLASS)
    known = isinstance(name, str) and name.isidentifier()
    return SavedModule(path, name if known else None, content.get("hyper_parameters") or {})


def saved_arguments(
    saved: SavedModule | None, args: list[str], teaches: bool, module: type = Classifier
) -> dict[str, Any]:
    """The model's arguments in the checkpoint of ``--ckpt_path``, so that they need not be given again.

    Args:
        saved: What `saved_module` found.
        args: The words after the verb.
        teaches: Whether the verb needs the teacher.
        module: Class of the classifier; what another one's checkpoint has beside these arguments is left out.

    Raises:
        InputError: The checkpoint asks for what no checkpoint of ours asks for.
    """
    if saved is None or not saved.arguments:
        return {}
    keys = {word.partition("=")[0].removeprefix("--") for word in args}
    ours = {name for kind in dir(training) for name in signature(getattr(training, kind)).parameters}
    known = set(signature(module).parameters)
    told = {name: value for name, value in saved.arguments.items() if name in known or name not in ours}
    return config_arguments(told, known, saved.path, named_classes(args), teaches, keys)


def _given(args: list[str]) -> str | None:
    """The file of ``--ckpt_path``; None where there is none, or it is a word of Lightning's.

    Raises:
        InputError: It does not exist.
    """
    given = [word.partition("=") for word in args]
    names = [name or following for (key, _, name), following in zip(given, [*args[1:], ""]) if key == "--ckpt_path"]
    if not names or names[-1] in ("last", "best", "hpc"):
        return None
    path = names[-1]
    if not is_regular(path) and not path.startswith("~"):
        raise InputError(f"--ckpt_path {printable(path, 200)} does not exist: give the path of a Lightning checkpoint")
    return path


def told_otherwise(saved: Mapping[str, Any], model: Any) -> list[str]:
    """What a command says of the network and its head that a checkpoint says otherwise, as texts ``key is X, not Y``.

    Args:
        saved: What `saved_arguments` found.
        model: The parsed arguments of the model.
    """
    found = []
    for key in ("backbone", "head"):
        told = saved.get(key)
        if not isinstance(told, Mapping):
            continue
        for name, value in (told.get("init_args") or {} if "class_path" in told else told).items():
            given = model.get(f"{key}.init_args.{name}", value)
            given = given.as_dict() if hasattr(given, "as_dict") else given
            if _plain(given) != _plain(value):
                found.append(f"model.{key}.{name} is {described(given)}, not {described(value)}")
    return found


def _plain(value: Any) -> Any:
    """With lists in the place of tuples, and numbers as they compare."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value
