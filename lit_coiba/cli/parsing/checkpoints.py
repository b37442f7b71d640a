"""The model's arguments that a checkpoint holds, as the keys of a config file."""

from __future__ import annotations

import pickle
from inspect import signature
from pathlib import Path
from typing import Any

import torch

from lit_coiba.cli.parsing.named_classes import named_classes
from lit_coiba.core.errors import InputError
from lit_coiba.training.classifier import Classifier
from lit_coiba.training.saved_arguments import config_arguments


def saved_arguments(args: list[str], teaches: bool) -> dict[str, Any]:
    """The model's arguments in the checkpoint of ``--ckpt_path``, so that they need not be given again.

    Args:
        args: The words after the verb.
        teaches: Whether the verb needs the teacher.

    Raises:
        InputError: The checkpoint does not exist, cannot be read, or asks for what no checkpoint of ours asks for.
    """
    given = [word.partition("=") for word in args]
    names = [name or following for (key, _, name), following in zip(given, [*args[1:], ""]) if key == "--ckpt_path"]
    if not names or names[-1] in ("last", "best", "hpc"):
        return {}
    path = Path(names[-1])
    if not path.is_file():
        raise InputError(f"--ckpt_path {path} does not exist: give the path of a Lightning checkpoint")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"--ckpt_path {path} has more than plain values, and loading it could run code, so it was refused: use a "
            "checkpoint of lit-coiba fit"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError(f"--ckpt_path {path} cannot be read ({error}): check that the file is complete") from error
    told = checkpoint.get("hyper_parameters") if isinstance(checkpoint, dict) else None
    if not isinstance(told, dict):
        return {}
    return config_arguments(told, signature(Classifier).parameters, str(path), named_classes(args), teaches)
