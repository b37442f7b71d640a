"""A CNN as a list of modules that rules of layer-wise relevance propagation can be attached to."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lit_coiba.contracts import InputError

_ADDS = (operator.add, operator.iadd, torch.add)
_PRODUCTS = (operator.mul, operator.imul, torch.mul)
_ATTENTION = ("softmax", "matmul", "bmm", "scaled_dot_product_attention", "shifted_window_attention")
_WHOLE = (nn.Conv2d, nn.BatchNorm2d, nn.Linear)  # with what timm derives from them


def relevance_graph(model: nn.Module, addition: type[nn.Module], method: str) -> fx.GraphModule:
    """The same function, module by module: batch norms in their convolutions, sums of two branches as modules.

    Modules are those of `model` itself, but for the convolutions that took in a norm. A product, as in
    squeeze-and-excitation, passes everything to its first factor, and nothing to the second one, the gate.

    Args:
        model: In evaluation mode; left as it is.
        addition: Module that sums the last axis, made for each sum of two branches.
        method: Whose name begins the sentence of a refusal.

    Raises:
        InputError: The forward depends on values, so its steps cannot be listed; or it attends.
    """
    try:
        graph = _Tracer().trace(model)
    except Exception as error:  # whatever the forward of someone's module raises when it is given a stand-in
        raise InputError(
            f"{method} cannot list the steps of this model, whose forward depends on values: take IntegratedGradients"
        ) from error
    for node in graph.nodes:
        if node.op.startswith("call_") and getattr(node.target, "__name__", node.target) in _ATTENTION:
            raise InputError(f"{method} has rules for CNNs, and none for attention ({node.name}): take another method")
    module = fx.GraphModule(model, graph)
    for node in list(graph.nodes):
        if node.op == "call_module" and isinstance(module.get_submodule(str(node.target)), nn.BatchNorm2d):
            _fuse(module, node)
        elif node.op in ("call_function", "call_method") and len(_factors(node)) == 2:
            if node.target in (*_ADDS, "add", "add_"):
                _sum(module, node, addition)
            elif node.target in (*_PRODUCTS, "mul", "mul_"):
                node.op, node.target = "call_function", gated
    graph.lint()
    module.recompile()
    return module


def gated(value: Tensor, gate: Tensor) -> Tensor:
    """The product of both, of which all relevance is the value's."""
    return _Gated.apply(value, gate)


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, gate: Tensor) -> Tensor:
        return value * gate

    @staticmethod
    def backward(ctx: Any, *relevance: Tensor) -> tuple[Tensor, Tensor]:
        return relevance[0], torch.zeros_like(relevance[0])


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, _WHOLE) or super().is_leaf_module(m, module_qualified_name)


def _factors(node: fx.Node) -> list[fx.Node]:
    return [value for value in node.args if isinstance(value, fx.Node)]


def _fuse(module: fx.GraphModule, node: fx.Node) -> None:
    """Put a batch norm into the convolution before it, if nobody else reads that."""
    before: Any = node.args[0]
    if before.op != "call_module" or len(before.users) > 1:
        return
    convolution, norm = (module.get_submodule(str(n.target)) for n in (before, node))
    if not isinstance(convolution, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
        return
    name = str(node.target)
    module.set_submodule(str(before.target), fuse_conv_bn_eval(convolution, norm))
    module.set_submodule(name, getattr(norm, "act", None) or nn.Identity())  # timm's norm may have an activation


def _sum(module: fx.GraphModule, node: fx.Node, addition: type[nn.Module]) -> None:
    name = f"sum_{node.name}"
    module.add_submodule(name, addition())
    with module.graph.inserting_before(node):
        stacked = module.graph.call_function(torch.stack, (list(node.args), -1))
        added = module.graph.call_module(name, (stacked,))
    node.replace_all_uses_with(added)
    module.graph.erase_node(node)
