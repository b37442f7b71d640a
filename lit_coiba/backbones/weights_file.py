"""Files of weights, and what they say about the network; a file that could run code is refused."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.plain_values import plain_arguments, refused
from lit_coiba.core.printable import printable
from lit_coiba.files.json_text import decode_json
from lit_coiba.files.tensor_file import SAFE, read_metadata, read_tensor_file

Weights = dict[str, Tensor]
File = str | os.PathLike[str]

SOURCES = ("checkpoint", "checkpoint_key", "pretrained")  # of a backbone's weights
DESCRIPTION = "classifier"  # the key of safetensors' metadata: arguments of the backbone and the head, as JSON

# Arguments of timm, at any depth, that would have it read or fetch a file.
_ELSEWHERE = frozenset(
    {
        *("checkpoint_path", "checkpoint", "pretrained", "pretrained_cfg", "cache_dir", "model_dir", "weights"),
        *("url", "file", "source", "hf_hub_id", "hf_hub_filename", "hf_hub", "state_dict", "custom_load"),
    }
)


class WeightsFile(NamedTuple):
    """What a file of weights holds."""

    content: Any  # a mapping to tensors, or to mappings of them
    arguments: dict[str, Any]  # of the classifier: ``backbone``, ``head``, ...; empty if it says nothing


def read_weights_file(file: File) -> WeightsFile:
    """The content of a file of weights, and what it says about its classifier.

    Raises:
        InputError: No such file, or not a file of weights.
    """
    content, metadata = read_tensor_file(file)
    return WeightsFile(content, _arguments(content, metadata, file))


def read_arguments(file: File) -> dict[str, Any]:
    """What a file of weights says about its classifier: ``backbone`` and ``head``; empty if nothing.

    Raises:
        InputError: No such file, or not a file of weights.
    """
    if os.fspath(file).endswith(SAFE):
        return _arguments(None, read_metadata(file), file)
    return read_weights_file(file).arguments


def _arguments(content: Any, metadata: Mapping[str, str], file: File) -> dict[str, Any]:
    told: Any = content.get("hyper_parameters") if isinstance(content, Mapping) else None
    if DESCRIPTION in metadata:
        try:
            told = decode_json(metadata[DESCRIPTION])
        except ValueError as error:
            raise InputError(
                f"checkpoint {printable(file, 200)}: its description of the network is damaged ({error}): give another"
                " file"
            ) from error
    if told is None:
        return {}
    if not isinstance(told, Mapping):
        raise refused(os.fspath(file), "hyper_parameters", told)
    return dict(told)


class SavedNetwork(NamedTuple):
    """What a file says of the network that its weights are of."""

    arguments: dict[str, Any]  # of the backbone; it gets its weights from this very file
    head: Any  # what `heads.description.describe` said; None = the network's own classifier
    file: WeightsFile  # its content


def read_network(file: File, names: Collection[str]) -> SavedNetwork:
    """The arguments of the backbone in a file, which has to carry them, and its head.

    Args:
        file: A Lightning checkpoint of `Classifier`, or safetensors that `ExportWeights` wrote.
        names: The arguments that a backbone has.

    Raises:
        InputError: It carries none, or what no backbone has.
    """
    found = read_weights_file(file)
    saved = found.arguments.get("backbone")
    if not saved:
        raise InputError(
            f"{printable(file, 200)} does not describe the network of its weights: give the network's arguments,"
            f" Backbone(NAME, checkpoint={str(file)!r}, ...)"
        )
    arguments = without_sources(backbone_arguments(saved, names, "backbone", str(file)))
    return SavedNetwork(arguments, found.arguments.get("head"), found)


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
    if (elsewhere := _leads_elsewhere(known.get("timm_kwargs"))) is not None:
        raise refused(file, f"{key}.timm_kwargs", elsewhere)
    return known


def without_sources(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a backbone whose weights are in the file at hand: no other is read, and none fetched."""
    return {name: value for name, value in arguments.items() if name not in SOURCES}


def _leads_elsewhere(value: Any) -> str | None:
    """What in timm's arguments would have it read or fetch something; None if nothing."""
    if isinstance(value, str):
        return value if "://" in value or value.startswith(("hf-hub:", "hf_hub:", "local-dir:")) else None
    if isinstance(value, Mapping):
        for name, part in value.items():
            if name in _ELSEWHERE and part not in (None, False, ""):
                return str(name)
        value = list(value.values())
    found = (_leads_elsewhere(part) for part in value) if isinstance(value, list) else iter(())
    return next((part for part in found if part is not None), None)
