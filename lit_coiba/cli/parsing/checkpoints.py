"""The model's arguments that a checkpoint holds, as the keys of a config file."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from lit_coiba.core.errors import InputError
from lit_coiba.training.saved_arguments import classifier_arguments


def saved_arguments(args: list[str]) -> dict[str, Any]:
    """The model's arguments in the checkpoint of ``--ckpt_path``, so that they need not be given again.

    Args:
        args: The words after the verb.

    Raises:
        InputError: The checkpoint does not exist, cannot be read, or asks for what no checkpoint of ours asks for.
    """
    given = [word.partition("=") for word in args]
    names = [name or following for (key, _, name), following in zip(given, [*args[1:], ""]) if key == "--ckpt_path"]
    if not names or names[-1] in ("last", "best", "hpc"):
        return {}
    path = Path(names[-1])
    if not path.is_file():
        raise InputError(f"--ckpt_path {path} does not exist")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"--ckpt_path {path} is no plain checkpoint, and loading it could run code: it was refused"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError(f"--ckpt_path {path} cannot be read ({error}): is the file complete?") from error
    told = checkpoint.get("hyper_parameters") if isinstance(checkpoint, dict) else None
    arguments = classifier_arguments(told, str(path)) if isinstance(told, dict) else {}
    if isinstance(head := arguments.get("head"), dict):
        own = {name: value for name, value in head.items() if name not in ("class", "in_channels", "num_classes")}
        arguments["head"] = {"class_path": f"lit_coiba.heads.{head.get('class')}", "init_args": own}
    return arguments
