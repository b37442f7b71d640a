"""Batch norms as a part of the convolutions before them, while a model is scored by many forwards.

In evaluation mode such a norm multiplies and shifts each channel by numbers that do not depend on the image, which the
weights of the convolution can do as well: the same outputs up to rounding, and one pass over memory less for each norm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, fx, nn

from lit_coiba.backbones.forwards import override_forward
from lit_coiba.core.errors import Unsupported
from lit_coiba.functional import fp64_where_possible
from lit_coiba.propagation.tracing import list_steps

_CONVOLUTIONS = (nn.Conv2d, Conv2dSame)  # whose outputs are linear in their weights, and these alone
_NORMS = (nn.BatchNorm2d, BatchNormAct2d)

Pair = tuple[nn.Conv2d, nn.BatchNorm2d]

_known: WeakKeyDictionary[nn.Module, tuple[Any, list[Pair]]] = WeakKeyDictionary()  # modules, and pairs found of them


@contextmanager
def folded_norms(model: Any) -> Iterator[None]:
    """Inside, batch norms that follow upon a convolution alone are computed by it; on leaving, all is as it was.

    Of a model whose steps cannot be listed, and of a norm in training, without statistics of its own or with a hook
    that would notice, nothing is changed.

    Args:
        model: The model, frozen; a callable that is no module is left alone.
    """
    with ExitStack() as stack:
        if isinstance(model, nn.Module) and not torch.is_grad_enabled():
            for convolution, norm in _pairs(model):
                if _is_plain(convolution, norm):
                    stack.enter_context(_folded(convolution, norm))
        yield


def _pairs(model: nn.Module) -> list[Pair]:
    """Convolutions whose output nothing but a norm reads, and that norm; each runs once in a forward."""
    modules = list(model.modules())
    if not any(type(module) in _NORMS for module in modules):
        return []
    state = [(id(module), id(vars(module).get("forward"))) for module in modules]
    if model not in _known or _known[model][0] != state:
        _known[model] = state, _found(model)
    return _known[model][1]


def _found(model: nn.Module) -> list[Pair]:
    try:
        graph = list_steps(model, lambda module: isinstance(module, _CONVOLUTIONS + _NORMS))
    except Unsupported:
        return []
    runs = Counter(_module(model, node) for node in graph.nodes)
    found: list[Pair] = []
    for node in graph.nodes:
        first, users = _module(model, node), list(node.users)
        second = _module(model, users[0]) if len(users) == 1 else None
        if type(first) in _CONVOLUTIONS and type(second) in _NORMS and runs[first] == runs[second] == 1:
            found.append((first, second))  # type: ignore[arg-type]
    return found


def _module(model: nn.Module, node: fx.Node) -> nn.Module | None:
    """The module that a step is."""
    return model.get_submodule(str(node.target)) if node.op == "call_module" else None


def _is_plain(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> bool:
    """Whether both compute what their classes say, the norm by its running statistics, and nobody looks in between."""
    hooks = convolution._forward_hooks or convolution._forward_pre_hooks or norm._forward_pre_hooks
    changed = "forward" in vars(convolution) or "forward" in vars(norm)
    tensors = (convolution.weight, norm.running_mean, norm.running_var)
    known = all(isinstance(tensor, Tensor) and tensor.dtype in (torch.float32, torch.float64) for tensor in tensors)
    return not (hooks or changed or norm.training) and known


@contextmanager
def _folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> Iterator[None]:
    own = {name: convolution._parameters[name] for name in ("weight", "bias")}
    merged = {name: nn.Parameter(tensor, requires_grad=False) for name, tensor in _merged(convolution, norm).items()}
    try:
        convolution._parameters.update(merged)
        with override_forward(norm, _after(norm)):
            yield
    finally:
        convolution._parameters.update(own)


def _merged(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> dict[str, Tensor]:
    """Weight and bias of a convolution that does what both do, computed in fp64 where the device has it."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    weight, wide = convolution.weight, fp64_where_possible
    scale = (wide(variance) + norm.eps).rsqrt()
    scale = scale if norm.weight is None else scale * wide(norm.weight)
    shift = -wide(mean) if convolution.bias is None else wide(convolution.bias) - wide(mean)
    bias = shift * scale if norm.bias is None else shift * scale + wide(norm.bias)
    return {"weight": (wide(weight) * scale.view(-1, 1, 1, 1)).to(weight), "bias": bias.to(weight)}


def _after(norm: nn.BatchNorm2d) -> Callable[[Tensor], Tensor]:
    """What a norm does beside normalizing."""
    if isinstance(norm, BatchNormAct2d):
        return lambda x: norm.act(norm.drop(x))
    return lambda x: x
