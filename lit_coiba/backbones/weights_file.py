"""Files of weights, and what they say about the network; a file that could run code is refused."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.plain_values import plain_arguments, refused

Weights = dict[str, Tensor]
File = str | os.PathLike[str]

SOURCES = ("checkpoint", "pretrained")  # of a backbone's weights
DESCRIPTION = "classifier"  # the key of safetensors' metadata: arguments of the backbone and the head, as JSON


def read_weights(file: File) -> Weights:
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
        raise InputError(f"checkpoint {file} has no weights: give a file with a mapping of names to tensors")
    return tensors


def read_arguments(file: File) -> dict[str, Any]:
    """What a file of weights says about its classifier: ``backbone`` and ``head``; empty if nothing.

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
        raise InputError(f"checkpoint {file}: its description of the network is damaged ({error})") from error
    return told if isinstance(told, dict) else {}


class SavedNetwork(NamedTuple):
    """What a file says of the network that its weights are of."""

    arguments: dict[str, Any]  # of the backbone; it gets its weights from this very file
    head: Any  # what `heads.description.describe` said; None = the network's own classifier


def read_network(file: File, names: Collection[str]) -> SavedNetwork:
    """The arguments of the backbone in a file, which has to carry them, and its head.

    Args:
        file: A Lightning checkpoint of `Classifier`, or safetensors that `ExportWeights` wrote.
        names: The arguments that a backbone has.

    Raises:
        InputError: It carries none, or what no backbone has.
    """
    told = read_arguments(file)
    saved = told.get("backbone")
    if not saved:
        raise InputError(
            f"{file} does not describe the network of its weights: give the network's arguments,"
            f" Backbone(NAME, checkpoint={str(file)!r}, ...)"
        )
    arguments = without_sources(backbone_arguments(saved, names, "backbone", str(file)))
    return SavedNetwork(arguments, told.get("head"))


def backbone_arguments(told: Any, names: Collection[str], key: str, file: str) -> dict[str, Any]:
    """The arguments of a backbone that a file describes, plain values.

    Args:
        told: What the file says.
        names: The arguments that a backbone has.
        key: Where the file says so, for messages.
        file: The file, for messages.

    Raises:
        InputError: An argument that a backbone does not have, or one that is no plain value.
    """
    if not isinstance(told, Mapping):
        raise refused(file, key, told)
    known = plain_arguments(told, names, key, file)
    more = known.get("timm_kwargs")
    if isinstance(more, Mapping) and "checkpoint_path" in more:  # timm would read another file
        raise refused(file, f"{key}.timm_kwargs", "checkpoint_path")
    return known


def without_sources(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a backbone whose weights are in the file at hand: no other is read, and none fetched."""
    return {name: value for name, value in arguments.items() if name not in SOURCES}


def _content(file: File) -> Any:
    with _reading(file) as path:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)


@contextmanager
def _reading(file: File) -> Iterator[Path]:
    """The path of a file that is there; what reading it raises becomes one sentence."""
    path = Path(file).expanduser()
    if not path.is_file():
        raise InputError(f"checkpoint {file} does not exist: give the path of a safetensors, .pth or .ckpt file")
    try:
        yield path
    except pickle.UnpicklingError as error:
        raise InputError(
            f"checkpoint {file} has more than plain weights, and loading the rest could run code, so it was refused: "
            "save only its state_dict, preferably as safetensors"
        ) from error
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError(
            f"checkpoint {file} cannot be read as weights ({error}): check that the file is complete"
        ) from error
