"""The network above its first bottleneck layer, and the one place where activations are replaced."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lit_coiba.backbones.cast_weights import cast_weights
from lit_coiba.backbones.chains import Link
from lit_coiba.backbones.cls_only_last_block import cls_only_last_block
from lit_coiba.backbones.forwards import Change, output_hook, override_forward
from lit_coiba.backbones.fused_attention import attention_modules, unfused_if_slow
from lit_coiba.backbones.probe import Probe
from lit_coiba.core.errors import InputError
from lit_coiba.core.grid import Grid
from lit_coiba.core.network import Edit, State


class _Target(NamedTuple):
    link: int
    module: nn.Module | None  # None = the layer is the output of the link


class ChainSplit:
    """A chain of links from the first of some layers on: ``upper(lower(x), identity)`` equals ``model(x)``.

    No hook and no replaced forward is left when `lower` or `upper` returns or raises.

    Args:
        model: The model to whose modules the layers of `grids` belong.
        links: Its chain.
        seen: The probe of these links.
        grids: Targeted layers, in any order.

    Raises:
        InputError: There is no layer, or two layers are the same activation.
    """

    def __init__(self, model: nn.Module, links: list[Link], seen: Probe, grids: list[Grid]) -> None:
        self.grids = sorted(grids, key=lambda grid: seen.records[grid.layer].order)
        self.layers = [grid.layer for grid in self.grids]
        records = [seen.records[layer] for layer in self.layers]
        self._targets = [
            _Target(record.link, None if record.whole else model.get_submodule(layer))
            for record, layer in zip(records, self.layers)
        ]
        self._refuse_duplicates()
        self._model = model
        self._links = links
        self._upper_links = cls_only_last_block(model, links, [(n, r.link) for n, r in zip(self.layers, records)])
        self._seen = seen
        self._attention = attention_modules(model)

    def lower(self, images: Tensor) -> State:
        """Run the network below the first bottleneck layer for images ``(B, 3, H, W)``, without gradients.

        Raises:
            InputError: The images have another size than those that the grids are for.
        """
        self._check_size(images)
        with torch.no_grad():
            return self._below(images.detach())

    def activation(self, images: Tensor) -> Tensor:
        """Activation of the first layer for images ``(B, 3, H, W)``, with gradients with respect to `images`.

        Raises:
            InputError: The images have another size than those that the grids are for.
        """
        self._check_size(images)
        with unfused_if_slow(self._attention, images):
            return self._below(images).activation

    def upper(self, state: State, edit: Edit) -> Tensor:
        """Logits ``(B, K)`` with ``edit(i, activation)`` in place of the activation of the i-th layer.

        Args:
            state: What `lower` returned, or copies of it; left as it was.
            edit: Called once for every layer, in order: with the activation in `state` for the first, with what the
                network computes for the others. It returns a tensor of the same shape.
        """
        first, *others = self._targets
        changes = [self._change(edit, i) for i in range(len(self.layers))]
        after = {t.link: change for t, change in zip(others, changes[1:]) if t.module is None}
        with ExitStack() as stack:
            stack.enter_context(unfused_if_slow(self._attention, state.stream))
            for target, change in zip(others, changes[1:]):
                if target.module is not None:
                    stack.callback(target.module.register_forward_hook(output_hook(change)).remove)
            if first.module is None:
                start, stream = first.link + 1, changes[0](state.activation)
            else:
                start, stream = first.link, self._unwritten(self._ordered(state.stream), first.link)
                stack.enter_context(override_forward(first.module, lambda *_, **__: changes[0](state.activation)))
            for k, link in enumerate(self._upper_links[start:], start):
                stream = link.forward(stream)
                if k in after:
                    stream = after[k](stream)
        return stream

    def cast_weights(self) -> AbstractContextManager[None]:
        """Inside, weights are in the precision of autocast already; see `cast_weights`."""
        return cast_weights(self._model)

    def _check_size(self, images: Tensor) -> None:
        if tuple(images.shape[-2:]) != self._seen.size:
            (height, width), (expected_height, expected_width) = images.shape[-2:], self._seen.size
            raise InputError(
                f"the images have {height} x {width} pixels, but the model takes {expected_height} x {expected_width}: "
                "resize the images, or build the model with another image_size"
            )

    def _below(self, images: Tensor) -> State:
        """The network below the first bottleneck layer, and the activation of that layer."""
        first = self._targets[0]
        stream = self._unwritten(self._ordered(images), 0)
        for link in self._links[: first.link]:
            stream = link.forward(stream)
        whole = self._links[first.link].forward
        if first.module is None:
            activation = stream = whole(stream)
        else:
            activation = _capture(first.module, whole, self._unwritten(stream, first.link))
        return State(stream, activation)

    def _change(self, edit: Edit, index: int) -> Change:
        """The edit of one layer: its result has the right shape and memory order, and memory of its own.

        The network may write into what it is given; the state, and what the edit keeps of an activation, must stay.
        """

        def change(activation: Tensor) -> Tensor:
            edited = edit(index, activation)
            if edited.shape != activation.shape:
                shapes = f"{tuple(edited.shape)} for an activation {tuple(activation.shape)}"
                raise ValueError(f"the edit of {self.layers[index]} returned {shapes}")
            edited = self._ordered(edited)
            shared = edited.untyped_storage().data_ptr() == activation.untyped_storage().data_ptr()
            leaf = edited.is_leaf and edited.requires_grad  # which nothing may write into
            return edited.clone() if shared or leaf else edited

        return change

    def _ordered(self, stream: Tensor) -> Tensor:
        """The stream as it is fastest: see `Probe.ordered`."""
        convolutional = self.grids[0].layout == "channels_first" and stream.dim() == 4
        return self._seen.ordered(stream) if convolutional else stream

    def _unwritten(self, stream: Tensor, link: int) -> Tensor:
        """The input of a link, as a copy if the link writes into it."""
        return stream.clone() if link in self._seen.writes_input else stream

    def _refuse_duplicates(self) -> None:
        if not self.layers:
            raise InputError("layers is empty: name at least one layer, or leave layers unset for the default")
        for before, after, name, other in zip(self._targets, self._targets[1:], self.layers, self.layers[1:]):
            if before == after:
                which = f"{name} is given twice" if name == other else f"{name} and {other} are the same activation"
                raise InputError(f"{which} in layers: keep one")


def _capture(module: nn.Module, link: Change, stream: Tensor) -> Tensor:
    """Output of `module` in ``link(stream)``, which is not run any further."""
    found = []

    def stop(module: nn.Module, args: Any, output: Tensor) -> None:
        found.append(output)
        raise _Found

    handle = module.register_forward_hook(stop)
    try:
        link(stream)
    except _Found:
        pass
    finally:
        handle.remove()
    return found[0]


class _Found(Exception):
    """The activation is there: the rest of the link need not run."""
