"""Classes outside this package that a command names, so that a checkpoint may ask for them."""

from __future__ import annotations

from importlib import import_module

from lit_coiba.cli.parsing.config_files import asked_classes
from lit_coiba.core.errors import InputError

KEYS = ("head", "teacher")  # of the model


def named_classes(args: list[str]) -> dict[str, tuple[str, type]]:
    """``head`` and ``teacher`` -> path and class, where the words or the config files name a class by its path.

    Args:
        args: The words after the verb.

    Raises:
        InputError: A class that cannot be imported, or a config file that cannot be read.
    """
    classes = asked_classes(args, KEYS)
    found: dict[str, tuple[str, type]] = {}
    for key in KEYS:
        path = classes.get(f"model.{key}", "")
        module, _, name = path.rpartition(".")
        if not module:
            continue
        try:
            kind = getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise InputError(f"model.{key}: {path} cannot be imported ({error})") from error
        if isinstance(kind, type):
            found[key] = path, kind
    return found
