"""A network as the list of steps that its forward runs, by symbolic tracing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, fx, nn

from lit_coiba.core.errors import Unsupported
from lit_coiba.propagation.in_place import refuse_overwriting
from lit_coiba.propagation.operations import operation_name

_MODULE = {name: getattr(nn.Module, name) for name in ("__call__", "__getattr__")}  # a tracer replaces them


def list_steps(model: nn.Module, is_step: Callable[[nn.Module], bool]) -> fx.Graph:
    """The steps of `model`, in the order of execution, which may be computed out of place.

    Args:
        model: In evaluation mode; left as it is.
        is_step: Whether a module is one step as a whole, beside those that torch itself defines.

    Raises:
        Unsupported: The forward depends on values, or on shapes where the model does not say what images it takes; or a
            step writes into a tensor that is used again.
    """
    try:
        graph = _Tracer(is_step).trace(model)
    except Exception as error:  # whatever the forward of a user's module raises when it is given a stand-in
        raise Unsupported("a forward that depends on values or shapes") from error
    refuse_overwriting(model, graph)
    return graph


def modules_around(node: fx.Node) -> list[str]:
    """Names of the modules in whose forward a step runs, from the outermost to the innermost, or to itself."""
    names = [name for name, _ in (node.meta.get("nn_module_stack") or {}).values()]
    return [*names, str(node.target)] if node.op == "call_module" else names


def place(node: fx.Node) -> str:
    """Name of the module that a step is, or in whose forward it runs; empty for the forward of the model itself."""
    return (modules_around(node) or [""])[-1]


class _Tracer(fx.Tracer):
    """Lists steps; what a forward asks about shapes is answered by a blank image of the model's own size."""

    def __init__(self, is_step: Callable[[nn.Module], bool]) -> None:
        super().__init__()
        self._is_step = is_step
        self._values: dict[fx.Node, Any] = {}  # of the blank image

    def to_bool(self, obj: fx.Proxy) -> bool:
        """A condition of shapes, such as that of timm's VGG, which repeats what is smaller than its kernel."""
        size = getattr(getattr(self.root, "preprocessing", None), "size", None)
        if size is None or not _of_shapes(obj.node):
            return super().to_bool(obj)
        own = next(chain(self.root.parameters(), self.root.buffers()), torch.zeros(()))
        blank = torch.zeros(1, 3, *size, device=own.device, dtype=own.dtype if own.is_floating_point() else None)
        with torch.no_grad(), _as_without_tracing():
            for node in self.graph.nodes:
                if node not in self._values:
                    self._values[node] = self._value(node, blank)
        return bool(self._values[obj.node])

    def _value(self, node: fx.Node, blank: Tensor) -> Any:
        """What a step puts out for a blank image."""
        args: Any = fx.node.map_arg(node.args, self._values.__getitem__)
        kwargs: Any = fx.node.map_arg(node.kwargs, self._values.__getitem__)
        if node.op == "placeholder":
            return args[0] if args else blank
        if node.op == "get_attr":
            return attrgetter(str(node.target))(self.root)
        if node.op == "call_module":
            return self.root.get_submodule(str(node.target))(*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        function: Any = node.target
        return function(*args, **kwargs)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return self._is_step(m) or super().is_leaf_module(m, module_qualified_name)


@contextmanager
def _as_without_tracing() -> Iterator[None]:
    """Within this modules run when they are called, where a tracer would note the call as one more step."""
    tracing = {name: getattr(nn.Module, name) for name in _MODULE}
    try:
        for name, own in _MODULE.items():
            setattr(nn.Module, name, own)
        yield
    finally:
        for name, method in tracing.items():
            setattr(nn.Module, name, method)


def _of_shapes(node: fx.Node) -> bool:
    """Whether a step depends on the shapes of tensors, and on nothing else of them."""
    if node.op not in ("call_function", "call_method"):
        return False
    name = operation_name(node.target)
    asked = name in ("size", "dim", "numel", "ndimension") or (name == "getattr" and node.args[1] in ("shape", "ndim"))
    return asked or (bool(node.all_input_nodes) and all(map(_of_shapes, node.all_input_nodes)))
