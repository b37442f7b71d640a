"""Weights of a file into a model that may call them otherwise."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Literal

from torch import nn

from lit_coiba.backbones.class_names import names_in, tell_names
from lit_coiba.backbones.grid_head import PLACE
from lit_coiba.backbones.image_sizes import warn_of_size
from lit_coiba.backbones.mismatch import Mismatch
from lit_coiba.backbones.missing_parts import KEY, tell_missing_parts
from lit_coiba.backbones.twins import warn_of_twin
from lit_coiba.backbones.weight_sets import Candidate, chosen, containers, named, parts
from lit_coiba.backbones.weight_values import check_values
from lit_coiba.backbones.weights_file import File, Weights, WeightsFile, read_weights_file
from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable


def load_weights(
    model: nn.Module,
    file: File,
    match: Literal["name", "order"] = "name",
    new_head: bool = False,
    key: str | None = None,
    found: WeightsFile | None = None,
    sized: bool = True,
) -> None:
    """Copy the weights in `file` into `model`, in the model's dtype.

    Position embeddings and the like of another image size are resampled by timm. Of a checkpoint of a larger module
    (a Lightning checkpoint, say) the part that fits is taken, whatever its prefix; of a file with several sets of
    weights (an average beside the last step) the one that fits.

    Args:
        model: The model.
        file: safetensors, or a PyTorch file of tensors (``.pth``, ``.ckpt``), also with the weights under
            ``state_dict``, ``model`` or any other key.
        match: ``order`` pairs tensors by their position instead of their name and needs equal shapes: for a file of the
            same architecture under other names.
        new_head: Leave the model's classifier as it is, whatever the file has.
        key: Key of the set of weights in a file that has several, such as ``state_dict_ema``; None = the one that fits.
        found: Content of the file, where it has been read.
        sized: Whether somebody has chosen the size of images; else a resampled position embedding is told.

    Raises:
        InputError: No such file, not a file of weights, the weights of another model, several sets that fit equally
            well, or numbers that are quantized, sparse or not finite.
    """
    name = printable(os.fspath(file), 200)
    found = read_weights_file(file) if found is None else found
    own = model.state_dict()
    sets = _candidates(found.content, name)
    remedy = "say which is meant, model.backbone.checkpoint_key"
    if match == "order":
        sets = sets if key is None else named(sets, key, name)
        weights = chosen(_ordered(sets, own, name), own, name, remedy).weights
    else:
        fitting = [part for one in sets for part in parts(one, own)]
        if key is not None:
            fitting = [part for one in named([*sets, *fitting], key, name) for part in parts(one, own)]
        fitted = [Candidate(one.key, _fitted(one.weights, model)) for one in fitting]
        weights = chosen(fitted, own, name, remedy).weights
        for raw in [raw for raw, one in zip(fitting, fitted) if one.weights is weights and not sized]:
            warn_of_size(raw.weights, model, name)
    heads = _heads(model)
    if new_head:
        kept = {name: tensor for name, tensor in own.items() if _below(name, heads)}
        theirs = [*heads, PLACE]  # the file may be of a fit with another head
        weights = {name: tensor for name, tensor in weights.items() if not _below(name, theirs)} | kept
    mismatch = Mismatch.between(weights, own)
    if mismatch.names:
        raise InputError(f"{name} does not fit {type(model).__name__}: {mismatch.sentence(next(iter(heads), None))}")
    check_values(weights, own, name)
    if match == "name":
        told = found.content if isinstance(found.content, Mapping) else {}
        warn_of_twin(os.fspath(file), _architecture(model), {**told, **found.arguments})
    model.load_state_dict(weights)
    tell_names(model, None if new_head else names_in(found.arguments))
    tell_missing_parts(model, None if new_head else found.arguments.get(KEY))


def _candidates(content: Any, file: str) -> list[Candidate]:
    """The sets of weights in a file, at least one."""
    sets = containers(content)
    if not sets:
        raise InputError(f"checkpoint {file} has no weights: give a file with a mapping of names to tensors")
    return sets


def _architecture(model: Any) -> str | None:
    """timm's name of a model; None where it is not timm's."""
    told = getattr(model, "pretrained_cfg", None)
    name = told.get("architecture") if isinstance(told, Mapping) else None
    return name if isinstance(name, str) else None


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


def _ordered(sets: list[Candidate], own: Weights, file: str) -> list[Candidate]:
    """The sets that can be matched by order, under the model's names.

    Raises:
        InputError: There is none.
    """
    fit = [one for one in sets if _pairs(one.weights, own)] or sets[:1]
    return [Candidate(one.key, _by_order(one.weights, own, file)) for one in fit]


def _pairs(weights: Weights, own: Weights) -> bool:
    """Whether tensors have the model's shapes in the model's order; its counters may be missing."""
    for left_out in ("", "num_batches_tracked"):
        shapes = [tensor.shape for name, tensor in own.items() if not left_out or not name.endswith(left_out)]
        if shapes == [tensor.shape for tensor in weights.values()]:
            return True
    return False


def _by_order(weights: Weights, own: Weights, file: str) -> Weights:
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
