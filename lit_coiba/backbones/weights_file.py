"""Files of weights, and what they tell of the network; one that wants to run code is refused."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from lit_coiba.core.errors import InputError

Weights = dict[str, Tensor]

DESCRIPTION = "classifier"  # the key of safetensors' metadata: arguments of the backbone and the head, as JSON


def read_weights(file: str) -> Weights:
    """The tensors in a file, by name.

    Raises:
        InputError: No such file, or not a file of weights.
    """
    found = _content(file)
    for container in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(container), Mapping):
            found = found[container]
    tensors = {str(k): v for k, v in found.items() if isinstance(v, Tensor)} if isinstance(found, Mapping) else {}
    if not tensors:
        raise InputError(f"checkpoint {file} holds no weights: a mapping of names to tensors is expected")
    return tensors


def read_arguments(file: str) -> dict[str, Any]:
    """What a file of weights tells of the classifier they are of: its ``backbone`` and ``head``; empty if nothing.

    Raises:
        InputError: No such file, or not a file of weights.
    """
    if Path(file).suffix != ".safetensors":
        found = _content(file)
        told = found.get("hyper_parameters") if isinstance(found, Mapping) else None
        return dict(told) if isinstance(told, Mapping) else {}
    with _reading(file) as path, safe_open(path, framework="pt") as opened:
        text = (opened.metadata() or {}).get(DESCRIPTION, "{}")
    try:
        told = json.loads(text)
    except ValueError as error:
        raise InputError(f"checkpoint {file}: what it tells of its network is damaged ({error})") from error
    return told if isinstance(told, dict) else {}


def _content(file: str) -> Any:
    with _reading(file) as path:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)


@contextmanager
def _reading(file: str) -> Iterator[Path]:
    """The path of a file that is there; what reading it raises becomes one sentence."""
    path = Path(file).expanduser()
    if not path.is_file():
        raise InputError(f"checkpoint {file} does not exist: give the path of a safetensors, .pth or .ckpt file")
    try:
        yield path
    except pickle.UnpicklingError as error:
        raise InputError(
            f"checkpoint {file} is not a plain file of weights, and loading what else it holds could run code: it was "
            "refused; save its state_dict alone, best as safetensors"
        ) from error
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError(f"checkpoint {file} cannot be read as weights ({error}): is the file complete?") from error
