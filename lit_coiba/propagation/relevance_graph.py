"""A CNN as a list of layers and steps, each with its rule of layer-wise relevance propagation."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lit_coiba.core.errors import InputError
from lit_coiba.propagation.activations import FUNCTIONS, GATES, elementwise
from lit_coiba.propagation.in_place import refuse_overwriting
from lit_coiba.propagation.relevance_steps import Gated, Passed, Spread, Summed

OTHERS = "take InputXGradient or IntegratedGradients"
LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)  # which zennit's composites have rules for
AS_THEY_ARE = ("Conv1d", "Conv2d", "Conv2dSame", "Conv3d", "ConvTranspose2d", "Linear")  # they use their weights so
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.instancenorm._InstanceNorm)
POOLS = (
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
)
UNCHANGING = (
    *(nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.Flatten, nn.Unflatten),
    *(nn.PixelShuffle, nn.PixelUnshuffle, nn.ChannelShuffle, nn.ZeroPad2d, nn.ConstantPad2d, nn.ReflectionPad2d),
)
KEPT = (*POOLS, *UNCHANGING, nn.modules.batchnorm._BatchNorm)  # with zennit's rule, or the gradient for one
# Names of torch's functions and of the methods of its tensors, without underscores around them.
MOVED = {  # which put numbers elsewhere, leave some out or take the largest: the gradient hands on all relevance
    *(
        "view",
        "view_as",
        "reshape",
        "reshape_as",
        "flatten",
        "unflatten",
        "permute",
        "transpose",
        "swapaxes",
        "movedim",
    ),
    *("contiguous", "clone", "to", "type", "type_as", "float", "double", "detach", "squeeze", "unsqueeze", "select"),
    *("cat", "concat", "concatenate", "stack", "chunk", "split", "tensor_split", "unbind", "getitem", "narrow", "flip"),
    *("expand", "expand_as", "repeat", "repeat_interleave", "tile", "roll", "pad", "index_select"),
    *("pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle", "unfold"),
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout", "alpha_dropout", "stochastic_depth"),
    *("drop_path", "max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "amax"),
    *("adaptive_max_pool3d", "boolean_dispatch", "maximum", "minimum", "T", "mT"),
}
SPREAD = {
    *("mean", "sum", "fold", "avg_pool1d", "avg_pool2d", "avg_pool3d", "interpolate", "upsample"),
    *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "conv1d", "conv2d", "conv3d", "linear"),
}
PASSED = FUNCTIONS | GATES | {"neg"}
SUMS = {"add": 1, "iadd": 1, "radd": 1, "sub": -1, "isub": -1, "subtract": -1}
PRODUCTS = {"mul", "imul", "rmul", "multiply"}
QUOTIENTS = {"truediv", "itruediv", "div", "divide", "true_divide"}
ANYWHERE = PASSED - {"pow"} | PRODUCTS | SUMS.keys()  # as well with a constant in front
SHAPES = {"size", "getattr", "dim", "numel", "ndimension", "len", "is_contiguous", "is_floating_point"}


def relevance_graph(model: nn.Module, epsilon: float, method: str, norms_spread: bool = False) -> fx.GraphModule:
    """The same function, step by step: batch norms in their convolutions, and what is no layer as `Passed`, `Spread`,
    `Summed` or `Gated`, whose gradient is relevance already.

    Layers are those of `model` itself, but for the convolutions that took in a norm and for layers that run several
    times, which are one for each time.

    Args:
        model: In evaluation mode; left as it is.
        epsilon: What stabilises quotients.
        method: Whose name begins the sentence of a refusal.
        norms_spread: A batch norm that no convolution takes in is linear, and its bias has a share; else it passes all
            relevance on, as zennit's composites have it.

    Raises:
        InputError: The forward depends on values, so its steps cannot be listed; one of them has no rule; or one
            writes into a tensor that is used again.
    """
    try:
        graph = _Tracer().trace(model)
    except Exception as error:  # whatever the forward of someone's module raises when it is given a stand-in
        raise InputError(
            f"{method} cannot list the steps of this model, whose forward depends on values or on shapes: {OTHERS}"
        ) from error
    refuse_overwriting(model, graph, method, OTHERS)
    module = fx.GraphModule(model, graph)
    _place_operands(graph)
    _one_module_a_call(module)
    for node in list(graph.nodes):
        if node.op == "call_module" and isinstance(module.get_submodule(str(node.target)), nn.BatchNorm2d):
            _fuse(module, node)
    moving = _moving(graph)
    for node in _with_relevance(module, moving):
        _give_rule(module, node, moving, epsilon, method)
    if norms_spread:
        _spread_norms(module, epsilon)
    graph.lint()
    module.recompile()
    return module


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        whole = (*LAYERS, *POOLS, *NORMS, nn.BatchNorm2d)  # with what timm derives from them
        return isinstance(m, whole) or elementwise(m) or super().is_leaf_module(m, module_qualified_name)


def _place_operands(graph: fx.Graph) -> None:
    """``torch.add(input=a, other=b)`` as ``torch.add(a, b)``."""
    for node in graph.nodes:
        if node.op in ("call_function", "call_method"):
            named = dict(node.kwargs)
            first, second = ([named.pop(name)] if name in named else [] for name in ("input", "other"))
            node.args, node.kwargs = (*first, *node.args, *second), named


def _one_module_a_call(module: fx.GraphModule) -> None:
    """zennit's rules remember what a module read, so one that runs again is another one, of the same weights."""
    calls: Counter[str] = Counter()
    for node in module.graph.nodes:
        if node.op == "call_module":
            name = str(node.target)
            calls[name] += 1
            if calls[name] > 1:
                node.target = f"again_{node.name}"
                layer = module.get_submodule(name)
                module.add_submodule(node.target, copy.deepcopy(layer, {id(p): p for p in layer.parameters()}))


def _name(node: fx.Node) -> str:
    return str(getattr(node.target, "__name__", node.target)).strip("_")


def _moving(graph: fx.Graph) -> set[fx.Node]:
    """Steps whose numbers depend on the image."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        shape = node.op.startswith("call_") and node.op != "call_module" and _name(node) in SHAPES
        if node.op == "placeholder" or (not shape and found.intersection(node.all_input_nodes)):
            found.add(node)
    return found


def _with_relevance(module: fx.GraphModule, moving: set[fx.Node]) -> list[fx.Node]:
    """Steps that relevance comes to on its way from the logits, in the order of execution: all but those of gates."""
    found: set[fx.Node] = set()
    waiting = [node for node in module.graph.nodes if node.op == "output"]
    while waiting:
        node = waiting.pop()
        if node not in found and node in moving:
            found.add(node)
            waiting += _carriers(module, node) if _multiplies(node, moving) else node.all_input_nodes
    return [node for node in module.graph.nodes if node in found and node.op.startswith("call_")]


def _moved(node: fx.Node, moving: set[fx.Node]) -> list[int]:
    """Places of the arguments that depend on the image."""
    return [k for k, value in enumerate(node.args) if isinstance(value, fx.Node) and value in moving]


def _multiplies(node: fx.Node, moving: set[fx.Node]) -> bool:
    """Whether a step multiplies or divides two tensors that depend on the image."""
    called = node.op in ("call_function", "call_method") and _name(node) in PRODUCTS | QUOTIENTS
    return called and len(_moved(node, moving)) == 2


def _carriers(module: fx.GraphModule, node: fx.Node) -> list[Any]:
    """What may have the relevance of a product: what a gate lets through, or both factors; of a quotient the numerator.

    Which of two factors that are no gates is the value, its size tells, once there are numbers.
    """
    first, second = node.args[:2]
    gates = _is_gate(module, first), _is_gate(module, second)
    if _name(node) in QUOTIENTS or gates == (False, True):
        return [first]
    return [second] if gates == (True, False) else [first, second]


def _is_gate(module: fx.GraphModule, node: Any) -> bool:
    """Whether a tensor was made by a sigmoid or a softmax, and then moved at most."""
    while node.op in ("call_function", "call_method") and _name(node) in MOVED and node.all_input_nodes:
        node = node.all_input_nodes[0]
    if node.op == "call_module":
        return "sigmoid" in type(module.get_submodule(str(node.target))).__name__.lower()
    return node.op != "placeholder" and _name(node) in GATES | {"softmax"}


def _give_rule(module: fx.GraphModule, node: fx.Node, moving: set[fx.Node], epsilon: float, method: str) -> None:
    """Put a step with a rule in the place of a function, a method or an activation."""
    if node.op == "call_module":
        _give_rule_to_layer(module, node, epsilon, method)
        return
    name, places, function = _name(node), _moved(node, moving), _function(node)
    if _multiplies(node, moving):
        carriers = _carriers(module, node)
        if name in QUOTIENTS:
            _replace(module, node, Passed(function))
        else:
            gate = next((factor for factor in node.args[:2] if factor is not carriers[0]), carriers[0])
            _replace(module, node, Gated(), (carriers[0], gate))
    elif name in SUMS and len(places) == 2:
        _replace(module, node, Summed(SUMS[name], epsilon))
    elif len(places) == 1 and (name in ANYWHERE or (name in QUOTIENTS | {"pow"} and places == [0])):
        _replace(module, node, Passed(function, places[0]))
    elif name in SPREAD and places == [0]:
        _replace(module, node, Spread(function, epsilon))
    elif name not in MOVED:
        raise InputError(f"{method} has no rule for torch's {name}, which this model runs: {OTHERS}")


def _give_rule_to_layer(module: fx.GraphModule, node: fx.Node, epsilon: float, method: str) -> None:
    layer = module.get_submodule(str(node.target))
    if elementwise(layer):
        _replace(module, node, Passed(layer))
    elif isinstance(layer, nn.Upsample):
        _replace(module, node, Spread(layer, epsilon))
    elif not _known(layer):
        raise InputError(f"{method} has no rule for {type(layer).__name__} (at {node.target}): {OTHERS}")


def _known(layer: nn.Module) -> bool:
    """Whether a layer is one of torch or timm with a rule, that computes with its own weights or running statistics."""
    if type(layer).__module__.split(".")[0] not in ("torch", "timm"):
        return False
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        return layer.running_mean is not None
    own = {name for name, _ in layer.named_parameters(recurse=False)} <= {"weight", "bias"}  # of no weight norm
    return (own and type(layer).__name__ in AS_THEY_ARE) or isinstance(layer, KEPT)


def _function(node: fx.Node) -> Callable[..., Tensor]:
    return getattr(Tensor, str(node.target)) if node.op == "call_method" else node.target  # type: ignore[return-value]


def _replace(module: fx.GraphModule, node: fx.Node, step: nn.Module, args: Any = None) -> None:
    name = f"step_{node.name}"
    module.add_submodule(name, step)
    node.op, node.target = "call_module", name
    node.args = node.args if args is None else args


def _fuse(module: fx.GraphModule, node: fx.Node) -> None:
    """Put a batch norm into the convolution before it, if nobody else reads that."""
    before: Any = node.args[0]
    if before.op != "call_module" or len(before.users) > 1:
        return
    convolution, norm = (module.get_submodule(str(n.target)) for n in (before, node))
    if not isinstance(convolution, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d) or not _known(norm):
        return
    name = str(node.target)
    module.set_submodule(str(before.target), fuse_conv_bn_eval(convolution, norm))
    module.set_submodule(name, getattr(norm, "act", None) or nn.Identity())  # timm's norm may have an activation


def _spread_norms(module: fx.GraphModule, epsilon: float) -> None:
    """Batch norms that are left share relevance with their biases; timm's have an activation behind."""
    for node in list(module.graph.nodes):
        norm = module.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.running_mean is not None:
            _replace(module, node, Spread(partial(_normalised, norm), epsilon))
            if isinstance(activation := getattr(norm, "act", None), nn.Module):
                with module.graph.inserting_after(node):
                    name = f"{node.target}_act"
                    module.add_submodule(name, Passed(activation) if elementwise(activation) else activation)
                    after = module.graph.call_module(name, (node,))
                node.replace_all_uses_with(after, lambda user, after=after: user is not after)


def _normalised(norm: nn.modules.batchnorm._BatchNorm, values: Tensor) -> Tensor:
    return nn.functional.batch_norm(
        values, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=False, eps=norm.eps
    )
