"""A model whose layers are initialized anew, one after the other; the model itself is never touched."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from lit_coiba.core.errors import InputError, check_count
from lit_coiba.core.frozen import kept_randomness
from lit_coiba.core.printable import a_kind, listed
from lit_coiba.heads.head import Head

Order = Literal["cascade", "independent"]
Layers = int | list[str] | None

CHOICES = ("cam_layer", "default_layers", "candidate_layers")  # what a method asks a model where no layer is named


class Depth(NamedTuple):
    """What is random at one depth."""

    name: str
    owners: tuple[str, ...]  # modules that are initialized anew


def checked_layers(layers: Layers) -> Layers:
    """Names of layers, or a number of them.

    Raises:
        InputError: A number below 1, or an empty list.
    """
    if (isinstance(layers, int) and layers < 1) or layers == []:
        raise InputError(f"layers is {layers}: give 1 or more, names of modules, or None for all")
    return layers


class RandomLayers:
    """The parts of a model from the top down, and copies of it in which some of them are initialized anew.

    A part is a module that has parameters of its own; the order is that in which modules are registered, from the last.
    A part is initialized as its class does it (``reset_parameters``; a head of lit-coiba as a new one). Parameters that
    this leaves as they are, such as position embeddings and class tokens, are drawn from a normal distribution with the
    mean and standard deviation that they have (ours), and those with a single value, which has no distribution, are in
    `left`. What a part becomes depends on the seed and its name alone, not on batches, the order or the device.

    Args:
        model: The model.
        layers: Depths: names of modules, whose parts belong together; a number of depths that share all parts evenly;
            None = every part is one.
        order: ``cascade`` = from the top down to a depth, ``independent`` = a depth alone.
        seed: Seed of the new weights.

    Raises:
        InputError: It is no module, has no parameters, cannot be copied, or has no such layer.
    """

    def __init__(self, model: Any, layers: Layers = None, order: Order = "cascade", seed: int = 0) -> None:
        if not isinstance(model, nn.Module):
            raise InputError(f"the model is {a_kind(model)}, which has no weights to randomize: give a torch module")
        self.model, self.seed, self.order = model, seed, order
        self.left: list[str] = []  # parameters that could not be drawn anew, by name
        parts = [name for name, module in _parts(model)][::-1]
        if not parts:
            raise InputError("the model has no parameters, so there is nothing to randomize: give a trained model")
        self.depths = _named(model, parts, layers, order) if isinstance(layers, list) else _shared_out(parts, layers)
        if order == "cascade":
            self.depths = [Depth(d.name, tuple(parts[: 1 + _last(parts, d.owners)])) for d in self.depths]

    def __iter__(self) -> Iterator[nn.Module]:
        """The model of each depth, from the top: one copy, which changes from depth to depth."""
        copy, done = self._copied(), set[str]()
        for depth in self.depths:
            self._renew(copy, [name for name in depth.owners if name not in done])
            yield copy
            if self.order == "cascade":
                done.update(depth.owners)
            else:
                self._restore(copy, depth.owners)

    def everything(self) -> nn.Module:
        """A copy of the model in which all parts are initialized anew."""
        copy = self._copied()
        self._renew(copy, [name for name, _ in _parts(copy)][::-1])
        return copy

    def _copied(self) -> nn.Module:
        """A copy with normal parameters, whose methods take the layers that they take by default of the model."""
        self.left = []
        try:
            with torch.inference_mode(False):
                copy = deepcopy(self.model)
        except Exception as error:
            raise InputError(
                f"{type(self.model).__name__} cannot be copied ({error}), and its own weights are not randomized: give"
                " a model that copy.deepcopy copies"
            ) from error
        for name in CHOICES:
            if callable(getattr(self.model, name, None)):
                setattr(copy, name, getattr(self.model, name))
        return copy

    def _renew(self, copy: nn.Module, names: list[str]) -> None:
        modules = dict(_parts(copy))
        for name in names:
            with torch.inference_mode(False), torch.no_grad(), kept_randomness(_device(modules[name])):
                torch.manual_seed(_number(self.seed, name))
                self.left += [".".join(filter(None, (name, own))) for own in _initialized_anew(modules[name])]

    def _restore(self, copy: nn.Module, names: tuple[str, ...]) -> None:
        trained, random = dict(_parts(self.model)), dict(_parts(copy))
        with torch.inference_mode(False), torch.no_grad():
            for name in names:
                for (_, old), (_, new) in zip(_tensors(trained[name]), _tensors(random[name])):
                    new.copy_(old)


def _parts(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Modules with parameters of their own, by name; a head is one part with all that is in it."""
    heads = [name for name, module in model.named_modules() if isinstance(module, Head)]
    found = []
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{head}.") for head in heads)
        own = next(module.parameters(recurse=isinstance(module, Head)), None)
        if own is not None and not inside:
            found.append((name, module))
    return found


def _shared_out(parts: list[str], depths: int | None) -> list[Depth]:
    """All parts in `depths` groups of about one size."""
    if depths is None:
        return [Depth(name, (name,)) for name in parts]
    check_count(layers=depths)
    edges = [k * len(parts) // min(depths, len(parts)) for k in range(min(depths, len(parts)) + 1)]
    return [Depth(parts[end - 1], tuple(parts[start:end])) for start, end in pairwise(edges)]


def _named(model: nn.Module, parts: list[str], layers: list[str], order: Order) -> list[Depth]:
    """The parts below each of some modules, in the order of the model from the top."""
    known = {name for name, _ in model.named_modules()}
    found = []
    for layer in layers:
        full = next((name for name in (layer, f"model.{layer}") if name in known), None)  # as a Backbone calls it
        owners = tuple(name for name in parts if full is not None and f"{name}.".startswith(f"{full}."))
        if not owners:
            raise InputError(
                f"layers: the model has no module {layer!r} with parameters: choose from {listed(parts[-3:])} and"
                f" {len(parts)} in all"
            )
        found.append(Depth(layer, owners))
    return sorted(found, key=lambda depth: _last(parts, depth.owners))


def _last(parts: list[str], owners: tuple[str, ...]) -> int:
    return max(parts.index(name) for name in owners)


def _initialized_anew(part: nn.Module) -> list[str]:
    """Give a part new weights; names of the parameters that have none."""
    device, head = _device(part), isinstance(part, Head)
    before = {name: value.detach().cpu().clone() for name, value in part.named_parameters(recurse=head)}
    reset = getattr(part, "reset_parameters", None) or getattr(part, "_reset_parameters", None)
    if isinstance(part, Head):
        part.load_state_dict(type(part)(**part.arguments()).state_dict())
    elif callable(reset):
        part.to("cpu")  # whose generator is the same on every machine
        reset()
        part.to(device)
    left = []
    for name, value in part.named_parameters(recurse=head):
        if not torch.equal(value.detach().cpu(), before[name]) or ((head or callable(reset)) and _is_constant(value)):
            continue  # a constant that was just initialized is what it began as
        if _is_constant(value) or not value.is_floating_point():
            left.append(name)
        else:
            drawn = torch.randn(value.shape, dtype=torch.float64)
            old = before[name].double()
            value.copy_(old.mean() + old.std() * drawn)
    return left


def _is_constant(value: Tensor) -> bool:
    return bool((value == value.flatten()[:1]).all())


def _tensors(part: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and buffers of a part."""
    head = isinstance(part, Head)
    return [*part.named_parameters(recurse=head), *part.named_buffers(recurse=head)]


def _device(part: nn.Module) -> torch.device:
    return next(part.parameters()).device


def _number(seed: int, name: str) -> int:
    """The seed of a part."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=7).digest(), "little")
