"""A CNN as a list of layers and steps, each with its rule of layer-wise relevance propagation."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lit_coiba.core.errors import Unsupported
from lit_coiba.propagation import operations as kinds
from lit_coiba.propagation.constant_norms import with_constants
from lit_coiba.propagation.max_pools import SharedMaxPool, Windows, windows_of
from lit_coiba.propagation.operations import is_activation, is_gate, operation_name
from lit_coiba.propagation.relevance_steps import Gate, PassThrough, Proportional, Sum
from lit_coiba.propagation.tracing import list_steps, place

BATCH_NORM = nn.modules.batchnorm._BatchNorm
LAYERS = kinds.CONVOLUTIONS | kinds.DENSE  # for whose modules zennit's composites have rules
PLAIN_LAYERS = {*(layer.__name__ for layer in LAYERS.modules), kinds.SAME_CONVOLUTION}  # use their weights as they are
# The gradient hands on all relevance: numbers are moved, or the largest one is taken.
ROUTING = kinds.SHAPE_OPS | kinds.MAX_POOLS | kinds.ADAPTIVE_MAX_POOLS | kinds.EXTREMES
# Layers that stay in the graph: zennit has a rule for them, or the gradient is one. Resizing has a step of its own.
KEPT = (*ROUTING.modules, *kinds.AVERAGE_POOLS.modules, BATCH_NORM)
# Linear functions of one tensor. Dense layers and convolutions that are called as functions share relevance like means.
PROPORTIONAL = kinds.AVERAGE_POOLS | kinds.LINEAR_REDUCTIONS | kinds.RESIZING | LAYERS
POINTWISE = kinds.ACTIVATIONS | kinds.CLAMPS | kinds.POWERS | kinds.GATES | kinds.NEGATION
SIGNS = dict.fromkeys(kinds.ADDITIONS.names, 1) | dict.fromkeys(kinds.SUBTRACTIONS.names, -1)
# Elementwise functions that depend on the image by one argument: at any place, or by the first argument alone, since a
# constant over a tensor, or to the power of one, has no rule.
ANY_PLACE = (POINTWISE.names - {"pow"}) | kinds.MULTIPLICATIONS.names | SIGNS.keys()
FIRST_PLACE = kinds.DIVISIONS.names | {"pow"}


def relevance_graph(model: nn.Module, epsilon: float, proportional_norms: bool = False) -> fx.GraphModule:
    """The same function, step by step: batch norms fused into their convolutions, other steps with a rule of their own.

    What is no layer is a `PassThrough`, `Proportional`, `Sum` or `Gate`, whose gradient is relevance already. Layers
    are those of `model` itself, except for the convolutions that took in a norm and for layers that run several times,
    which become one layer for each time.

    Args:
        model: In evaluation mode; left as it is.
        epsilon: Stabilizer of quotients.
        proportional_norms: Whether a batch norm that no convolution takes in counts as linear, so that its bias has a
            share of the relevance; otherwise it passes all relevance on, as in zennit's composites.

    Raises:
        Unsupported: The forward depends on values, so its steps cannot be listed; a step has no rule; or a step writes
            into a tensor that is used again.
    """
    graph = list_steps(model, _is_step)
    module = fx.GraphModule(model, graph)
    _place_operands(graph)
    _one_module_a_call(module)
    for node in list(graph.nodes):
        if node.op == "call_module" and isinstance(module.get_submodule(str(node.target)), nn.BatchNorm2d):
            _fuse(module, node)
    varying = _varying(graph)
    for node in _with_relevance(module, varying):
        _give_rule(module, node, varying, epsilon)
    if proportional_norms:
        _replace_norms(module, epsilon)
    graph.lint()
    module.recompile()
    return module


def _is_step(module: nn.Module) -> bool:
    """Whether a module is one step, even if timm derives it from torch's and computes it otherwise."""
    pools = kinds.MAX_POOLS | kinds.ADAPTIVE_MAX_POOLS | kinds.AVERAGE_POOLS
    whole = (LAYERS | pools | kinds.INPUT_NORMS).modules
    return isinstance(module, (*whole, nn.BatchNorm2d)) or is_activation(module)


def _place_operands(graph: fx.Graph) -> None:
    """``torch.add(input=a, other=b)`` as ``torch.add(a, b)``."""
    for node in graph.nodes:
        if _is_call(node):
            named = dict(node.kwargs)
            first, second = ([named.pop(name)] if name in named else [] for name in ("input", "other"))
            node.args, node.kwargs = (*first, *node.args, *second), named


def _one_module_a_call(module: fx.GraphModule) -> None:
    """Give each call a module of its own, of the same weights: zennit's rules remember what a module read last."""
    calls: Counter[str] = Counter()
    for node in module.graph.nodes:
        if node.op == "call_module":
            name = str(node.target)
            calls[name] += 1
            if calls[name] > 1:
                node.target = f"again_{node.name}"
                layer = module.get_submodule(name)
                module.add_submodule(node.target, copy.deepcopy(layer, {id(p): p for p in layer.parameters()}))


def _varying(graph: fx.Graph) -> set[fx.Node]:
    """Steps whose numbers depend on the image."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        query = _is_call(node) and operation_name(node.target) in kinds.SHAPE_QUERIES.names
        if node.op == "placeholder" or (not query and found.intersection(node.all_input_nodes)):
            found.add(node)
    return found


def _with_relevance(module: fx.GraphModule, varying: set[fx.Node]) -> list[fx.Node]:
    """Steps that relevance reaches on its way from the logits, in the order of execution: all but those of gates."""
    found: set[fx.Node] = set()
    waiting = [node for node in module.graph.nodes if node.op == "output"]
    while waiting:
        node = waiting.pop()
        if node not in found and node in varying:
            found.add(node)
            waiting += _carriers(module, node) if _multiplies(node, varying) else node.all_input_nodes
    return [node for node in module.graph.nodes if node in found and node.op.startswith("call_")]


def _varying_places(node: fx.Node, varying: set[fx.Node]) -> list[int]:
    """Places of the arguments that depend on the image."""
    return [k for k, value in enumerate(node.args) if isinstance(value, fx.Node) and value in varying]


def _multiplies(node: fx.Node, varying: set[fx.Node]) -> bool:
    """Whether a step multiplies or divides two tensors that depend on the image."""
    names = (kinds.MULTIPLICATIONS | kinds.DIVISIONS).names
    return _is_call(node) and operation_name(node.target) in names and len(_varying_places(node, varying)) == 2


def _carriers(module: fx.GraphModule, node: fx.Node) -> list[Any]:
    """Arguments that may have the relevance: of a quotient the numerator, of a product the one beside a gate, or both.

    Which of two factors that are no gates is the value is decided by their sizes, when the graph runs.
    """
    first, second = node.args[:2]
    gates = _is_gate(module, first), _is_gate(module, second)
    if operation_name(node.target) in kinds.DIVISIONS.names or gates == (False, True):
        return [first]
    return [second] if gates == (True, False) else [first, second]


def _is_gate(module: fx.GraphModule, node: Any) -> bool:
    """Whether a tensor was made by a sigmoid or a softmax, and only moved since."""
    while _is_call(node) and operation_name(node.target) in ROUTING.names and node.all_input_nodes:
        node = node.all_input_nodes[0]
    if node.op == "call_module":
        return is_gate(module.get_submodule(str(node.target)))
    return node.op != "placeholder" and operation_name(node.target) in (kinds.GATES | kinds.SOFTMAX).names


def _give_rule(module: fx.GraphModule, node: fx.Node, varying: set[fx.Node], epsilon: float) -> None:
    """Replace a function, a method or an activation by a step with a rule."""
    if node.op == "call_module":
        _give_rule_to_layer(module, node, epsilon)
        return
    name, places, function = operation_name(node.target), _varying_places(node, varying), _function(node)
    if _multiplies(node, varying):
        carriers = _carriers(module, node)
        if name in kinds.DIVISIONS.names:
            _replace(module, node, PassThrough(function))
        else:
            gate = next((factor for factor in node.args[:2] if factor is not carriers[0]), carriers[0])
            _replace(module, node, Gate(), (carriers[0], gate))
    elif name in SIGNS and len(places) == 2:
        _replace(module, node, Sum(SIGNS[name], epsilon))
    elif len(places) == 1 and (name in ANY_PLACE or (name in FIRST_PLACE and places == [0])):
        _replace(module, node, PassThrough(function, places[0]))
    elif name in kinds.MAX_POOLS.names - {"boolean_dispatch"} and places == [0]:
        _replace(module, node, _max_pool(name, function, node), node.args[:1])
        node.kwargs = {}
    elif name in PROPORTIONAL.names and places == [0]:
        _replace(module, node, Proportional(function, epsilon))
    elif name not in ROUTING.names:
        raise Unsupported(f"torch's {name}", place(node))


def _give_rule_to_layer(module: fx.GraphModule, node: fx.Node, epsilon: float) -> None:
    layer = module.get_submodule(str(node.target))
    if is_activation(layer):
        _replace(module, node, PassThrough(layer))
    elif isinstance(layer, (kinds.MAX_POOLS | kinds.ADAPTIVE_MAX_POOLS).modules) and not layer.return_indices:
        _replace(module, node, SharedMaxPool(layer, windows_of(layer)))
    elif isinstance(layer, kinds.INPUT_NORMS.modules) and _without_activation(layer):
        _replace(module, node, Proportional(partial(with_constants, layer), epsilon))
    elif isinstance(layer, kinds.RESIZING.modules):
        _replace(module, node, Proportional(layer, epsilon))
    elif not _known(layer):
        raise Unsupported(type(layer).__name__, str(node.target))


def _known(layer: nn.Module) -> bool:
    """Whether a layer is one of torch or timm with a rule, that computes with its own weights or running statistics."""
    if type(layer).__module__.split(".")[0] not in ("torch", "timm"):
        return False
    if isinstance(layer, BATCH_NORM):
        return layer.running_mean is not None
    own = {name for name, _ in layer.named_parameters(recurse=False)} <= {"weight", "bias"}  # no weight norm
    return (own and type(layer).__name__ in PLAIN_LAYERS) or isinstance(layer, KEPT)


def _max_pool(name: str, function: Callable[..., Tensor], node: fx.Node) -> SharedMaxPool:
    """A max pool that is called as a function."""
    order = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    given: dict[str, Any] = dict(zip(order, node.args[1:])) | dict(node.kwargs)
    if given.pop("return_indices", False):
        raise Unsupported("a max pool that returns places", place(node))
    windows = Windows.of(int(name[-2]), **{key: value for key, value in given.items() if key != "ceil_mode"})
    return SharedMaxPool(partial(function, **given), windows)


def _without_activation(norm: nn.Module) -> bool:
    """Whether a norm of torch or timm does nothing else: some of timm's have an activation behind them."""
    own = type(norm).__module__.split(".")[0] in ("torch", "timm")
    return own and isinstance(getattr(norm, "act", nn.Identity()), nn.Identity)


def _is_call(node: fx.Node) -> bool:
    return node.op in ("call_function", "call_method")


def _function(node: fx.Node) -> Callable[..., Tensor]:
    return getattr(Tensor, str(node.target)) if node.op == "call_method" else node.target  # type: ignore[return-value]


def _replace(module: fx.GraphModule, node: fx.Node, step: nn.Module, args: Any = None) -> None:
    name = f"step_{node.name}"
    module.add_submodule(name, step)
    node.op, node.target = "call_module", name
    node.args = node.args if args is None else args


def _fuse(module: fx.GraphModule, node: fx.Node) -> None:
    """Fuse a batch norm into the convolution before it, if nothing else reads the output of that."""
    before: Any = node.args[0]
    if before.op != "call_module" or len(before.users) > 1:
        return
    convolution, norm = (module.get_submodule(str(n.target)) for n in (before, node))
    if not isinstance(convolution, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d) or not _known(norm):
        return
    name = str(node.target)
    module.set_submodule(str(before.target), fuse_conv_bn_eval(convolution, norm))
    module.set_submodule(name, getattr(norm, "act", None) or nn.Identity())  # timm's norm may have an activation


def _replace_norms(module: fx.GraphModule, epsilon: float) -> None:
    """Let the batch norms that are left share relevance with their biases; timm's have an activation behind them."""
    for node in list(module.graph.nodes):
        norm = module.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(norm, BATCH_NORM) and norm.running_mean is not None:
            _replace(module, node, Proportional(partial(_normalize, norm), epsilon))
            if isinstance(activation := getattr(norm, "act", None), nn.Module):
                with module.graph.inserting_after(node):
                    name = f"{node.target}_act"
                    module.add_submodule(name, PassThrough(activation) if is_activation(activation) else activation)
                    after = module.graph.call_module(name, (node,))
                node.replace_all_uses_with(after, lambda user, after=after: user is not after)


def _normalize(norm: nn.modules.batchnorm._BatchNorm, values: Tensor) -> Tensor:
    return nn.functional.batch_norm(
        values, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=False, eps=norm.eps
    )
