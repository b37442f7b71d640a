"""Weights of a file into a model that may call them otherwise."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any, Literal

from torch import nn

from lit_coiba.backbones.class_names import names_in, tell_names
from lit_coiba.backbones.grid_head import PLACE
from lit_coiba.backbones.mismatch import Mismatch
from lit_coiba.backbones.weights_file import File, Weights, read_arguments, read_weights
from lit_coiba.core.errors import InputError


def load_weights(
    model: nn.Module, file: File, match: Literal["name", "order"] = "name", new_head: bool = False
) -> None:
    """Copy the weights in `file` into `model`, in the model's dtype.

    Position embeddings and the like of another image size are resampled by timm. Of a checkpoint of a larger module
    (a Lightning checkpoint, say) the part that fits is taken, whatever its prefix.

    Args:
        model: The model.
        file: safetensors, or a PyTorch file of tensors (``.pth``, ``.ckpt``), also with the weights under
            ``state_dict`` or ``model``.
        match: ``order`` pairs tensors by their position instead of their name and needs equal shapes: for a file of the
            same architecture under other names.
        new_head: Leave the model's classifier as it is, whatever the file has.

    Raises:
        InputError: No such file, not a file of weights, or the weights of another model.
    """
    weights = read_weights(file)
    own = model.state_dict()
    weights = _by_order(weights, own, file) if match == "order" else _fitted(_part(weights, own), model)
    heads = _heads(model)
    if new_head:
        kept = {name: tensor for name, tensor in own.items() if _below(name, heads)}
        theirs = [*heads, PLACE]  # the file may be of a fit with another head
        weights = {name: tensor for name, tensor in weights.items() if not _below(name, theirs)} | kept
    mismatch = Mismatch.between(weights, own)
    if mismatch.names:
        raise InputError(f"{file} does not fit {type(model).__name__}: {mismatch.sentence(next(iter(heads), None))}")
    model.load_state_dict(weights)
    tell_names(model, None if new_head else names_in(read_arguments(file)))


def _part(weights: Weights, own: Weights) -> Weights:
    """The entries under the prefix that makes most names those of the model, without that prefix."""
    prefixes: Counter[str] = Counter()
    for name in weights:
        pieces = name.split(".")
        for i in range(len(pieces)):
            if ".".join(pieces[i:]) in own:
                prefixes[".".join([*pieces[:i], ""])] += 1
    if not prefixes:
        return weights
    prefix = max(prefixes, key=lambda p: (prefixes[p], -len(p)))
    return {name[len(prefix) :]: tensor for name, tensor in weights.items() if name.startswith(prefix)}


def _fitted(weights: Weights, model: nn.Module) -> Weights:
    """The weights as timm's own conversion for this class leaves them, if that brings them nearer to the model."""
    own = model.state_dict()
    before = Mismatch.between(weights, own)
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if not before.names or convert is None or not type(model).__module__.startswith("timm."):
        return weights
    precise = {name: t.float() if t.is_floating_point() else t for name, t in weights.items()}
    try:
        converted = convert(precise, model)
    except Exception:  # written for the files that its authors know; what it makes of others is not ours to list
        return weights
    return converted if len(Mismatch.between(converted, own).names) < len(before.names) else weights


def _by_order(weights: Weights, own: Weights, file: File) -> Weights:
    names = list(own)
    if len(names) != len(weights):  # files of older PyTorch lack these counters
        names = [name for name in names if not name.endswith("num_batches_tracked")]
    if len(names) != len(weights):
        raise InputError(
            f"{file} has {len(weights)} tensors and the model {len(names)}: they cannot be matched by order"
        )
    for name, (other, tensor) in zip(names, weights.items()):
        if own[name].shape != tensor.shape:
            raise InputError(
                f"{file} cannot be matched by order: {other} is {tuple(tensor.shape)}, "
                f"but the model has {name} {tuple(own[name].shape)} there"
            )
    return {**own, **dict(zip(names, weights.values()))}


def _heads(model: Any) -> list[str]:
    """Names of the classifiers, mostly one."""
    names = (getattr(model, "pretrained_cfg", None) or {}).get("classifier") or ()
    return [names] if isinstance(names, str) else list(names)


def _below(name: str, modules: list[str]) -> bool:
    return any(name.startswith(f"{module}.") for module in modules)
