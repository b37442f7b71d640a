"""DeepLIFT's rescale rule as the backward of activations and max pools: ratios of differences instead of slopes.

Shrikumar, Greenside and Kundaje, 2017 (arXiv 1704.02685). The reference is run first, and kept where a rule needs it;
the backward is then one of the images alone, and an activation's part in it is a product with what its forward kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lit_coiba.backbones.forwards import override_forward
from lit_coiba.core.errors import Unsupported
from lit_coiba.core.printable import a_kind
from lit_coiba.propagation.max_pools import shared_among_ties, windows_of
from lit_coiba.propagation.operations import MAX_POOLS, is_activation

Forward = Callable[[Tensor], Tensor]


class Reference(NamedTuple):
    """What a module was given and what it returned for the reference: one for all images, or one for each."""

    inputs: Tensor
    outputs: Tensor
    module: nn.Module
    forward: Forward  # the module's own


References = dict[nn.Module, Reference]


@contextmanager
def recorded_references(model: nn.Module) -> Iterator[References]:
    """Inside, what runs forward is the reference: modules that have a rule keep what they compute, in what is yielded.

    Raises:
        Unsupported: One of them runs twice, and would have two references.
    """
    kept: References = {}
    with ExitStack() as stack:
        for name, module in model.named_modules():
            if is_activation(module) or isinstance(module, MAX_POOLS.modules):
                forward = partial(_record, kept, name.removeprefix("model."), module, module.forward)
                stack.enter_context(override_forward(module, forward))
        yield kept


@contextmanager
def rescaled(references: References, eps: float) -> Iterator[None]:
    """Inside, these modules compute what they always do, and hand gradients back by the rule; afterwards too.

    Args:
        references: What `recorded_references` has kept.
        eps: Difference from the reference below which the slope is taken.
    """
    with ExitStack() as stack:
        for module, reference in references.items():
            rule: Any = _Pooled if isinstance(module, MAX_POOLS.modules) else _Rescaled
            stack.enter_context(override_forward(module, partial(_apply, rule, reference, eps)))
        yield


def _record(kept: References, name: str, module: nn.Module, forward: Forward, values: Tensor) -> Tensor:
    if module in kept:
        raise Unsupported(
            f"{a_kind(module)} that runs twice in one forward, as in torchvision's ResNets",
            name,
            "give each use a module of its own, as timm's ResNets do",
        )
    output = forward(values)
    kept[module] = Reference(values.clone(), output.clone(), module, forward)  # the model may write into both
    return output


def _apply(rule: Any, reference: Reference, eps: float, values: Tensor) -> Tensor:
    return rule.apply(values, reference, eps)


class _Rescaled(torch.autograd.Function):
    """An elementwise function, with the ratio of differences in the place of its slope."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, reference: Reference, eps: float) -> Tensor:
        with torch.enable_grad():
            point = values.detach().requires_grad_()
            output = reference.forward(point)
        inputs, outputs = (_as_many(one, len(values)) for one in (reference.inputs, reference.outputs))
        change = values - inputs
        ratio = (output.detach() - outputs).div_(change)
        same = change.abs_() < eps
        if same.any():
            (slope,) = torch.autograd.grad(output, point, output.new_ones(()).expand_as(output))
            torch.where(same, slope, ratio, out=ratio)
        ctx.save_for_backward(ratio)
        return output.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (ratio,) = ctx.saved_tensors
        return ratio.mul_(gradients[0]), None, None


class _Pooled(torch.autograd.Function):
    """A max pool: a rise belongs to the winner in the image, a fall to the winner in the reference.

    Winners of the same height share: in a constant reference they are all places of a window. Contributions of
    overlapping windows to the same place add up.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, reference: Reference, eps: float) -> Tensor:
        output = reference.forward(values)
        ctx.share = partial(shared_among_ties, reference.forward, windows_of(reference.module))
        ctx.eps = eps
        ctx.save_for_backward(values.clone(), output, reference.inputs, reference.outputs)
        return output.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        image, output, *others = ctx.saved_tensors
        (gradient,), share = gradients, ctx.share
        reference, lowest = (_as_many(other, len(image)).expand_as(one) for other, one in zip(others, (image, output)))
        highest = torch.maximum(output, lowest)
        rises = share(image, output, gradient * (highest - lowest))
        falls = share(reference, lowest, gradient * (output - highest))
        change = image - reference
        same = change.abs() < ctx.eps
        found = (rises + falls) / change.masked_fill(same, 1)
        if same.any():
            found = torch.where(same, share(image, output, gradient), found)
        return found, None, None


def _as_many(reference: Tensor, count: int) -> Tensor:
    """The reference as one row, or as `count`: where a row is a part of an image, the reference has as many parts."""
    if len(reference) in (1, count):
        return reference
    return reference.repeat(count // len(reference), *[1] * (reference.dim() - 1))
