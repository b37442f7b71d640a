"""A network as a list of steps that bounds can walk, forwards and backwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from lit_coiba.bounds.operation import Operation
from lit_coiba.bounds.rules import of_call, of_module
from lit_coiba.core.errors import InputError, Unsupported
from lit_coiba.core.printable import a_kind
from lit_coiba.propagation.operations import operation_name
from lit_coiba.propagation.tracing import list_steps, modules_around, place


class Step(NamedTuple):
    """One operation, with the names of the activations that it reads and makes."""

    output: str
    operation: Operation
    inputs: tuple[str, ...]


class Program(NamedTuple):
    """Steps from the activation `start` to the activation `output`, in the order of execution."""

    steps: tuple[Step, ...]
    start: str
    output: str

    def until(self, name: str) -> Program:
        """The part that makes the activation `name`."""
        wanted, steps = {name}, []
        for step in reversed(self.steps):
            if step.output in wanted:
                wanted.update(step.inputs)
                steps.append(step)
        return Program(tuple(reversed(steps)), self.start, name)

    def frontier(self) -> set[str]:
        """Where rows that are merged with the last affine steps end: behind activations, pooling and reshapes."""
        found, wanted = set(), {self.output}
        for step in reversed(self.steps):
            if step.output in wanted:
                if step.operation.affine and step.operation.merged:
                    wanted.update(step.inputs)
                else:
                    found.add(step.output)
        return found | ({self.start} & wanted)


def trace(model: nn.Module, start_layer: str | None = None, dtype: torch.dtype = torch.float32) -> Program:
    """`model` in evaluation mode as a program, by symbolic tracing.

    Args:
        model: From images to logits.
        start_layer: Name of the module behind which the program starts; None = it starts with the images.
        dtype: Type of the numbers in which the bounds are computed.

    Raises:
        Unsupported: A step without a rule, or one that writes into a tensor that is used again.
        InputError: The model is no torch module, does not return one tensor, or does not have `start_layer` on the only
            way from the images to the logits.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"bounds need a torch module, not {a_kind(model)}: wrap a module")
    norm = next((name for name, module in model.named_modules() if isinstance(module, nn.LayerNorm)), None)
    if norm is not None and start_layer is None:
        raise _without_rule("LayerNorm", norm)
    graph = list_steps(model, lambda module: isinstance(module, (nn.Conv2d, nn.BatchNorm2d, nn.Linear)))
    end = next(node for node in graph.nodes if node.op == "output")
    images = next(node for node in graph.nodes if node.op == "placeholder")
    first = images if start_layer is None else _behind(graph, start_layer)
    builder = _Builder(model, first, dtype)
    result = end.args[0]
    if not isinstance(result, fx.Node):
        raise InputError(f"{type(model).__name__} does not return one tensor: wrap a module that returns logits")
    needed = _ancestors(result, first)
    for node in graph.nodes:
        if node in needed and node is not first:
            builder.add(node)
    return Program(tuple(builder.steps), first.name, builder.names[result])


def _without_rule(what: str, where: str) -> Unsupported:
    return Unsupported(what, where, "name a start_layer behind it")


def _behind(graph: fx.Graph, start_layer: str) -> fx.Node:
    """The last node of the module `start_layer`."""
    found = None
    for node in graph.nodes:
        if any(name == start_layer or name.endswith(f".{start_layer}") for name in modules_around(node)):
            found = node
    if found is None:
        raise InputError(f"start_layer {start_layer!r} is not run as a module of this model: name another one")
    return found


def _ancestors(node: fx.Node, first: fx.Node) -> set[fx.Node]:
    """What `node` is computed from, not beyond `first`."""
    found, open_nodes = set(), [node]
    while open_nodes:
        node = open_nodes.pop()
        if node not in found:
            found.add(node)
            open_nodes += [] if node is first else node.all_input_nodes
    return found


class _Builder:
    """Turns nodes into steps; what does not depend on the start is computed at once."""

    def __init__(self, model: nn.Module, first: fx.Node, dtype: torch.dtype) -> None:
        self.model, self.first, self.dtype = model, first, dtype
        self.names = {first: first.name}
        self.constants: dict[fx.Node, Any] = {}
        self.steps: list[Step] = []

    def add(self, node: fx.Node) -> None:
        """The steps of one node."""
        if node.op == "placeholder":
            raise InputError(
                "start_layer is not the only way from the images to the logits: name one that all of it passes through"
            )
        if node.op == "get_attr":
            self.constants[node] = self._number(_attribute(self.model, str(node.target)))
        elif node.op == "call_module":
            self._module(node)
        elif all(source in self.constants for source in node.all_input_nodes):
            self._constant(node)
        else:
            self._call(node)

    def _module(self, node: fx.Node) -> None:
        module = self.model.get_submodule(str(node.target))
        found = of_module(module, self.dtype)
        if found is None or len(node.all_input_nodes) != 1 or node.all_input_nodes[0] in self.constants:
            raise _without_rule(type(module).__name__, str(node.target))
        name = self.names[node.all_input_nodes[0]]
        for number, operation in enumerate(found):
            made = node.name if number == len(found) - 1 else f"{node.name}.{number}"
            self.steps.append(Step(made, operation, (name,)))
            name = made
        self.names[node] = name

    def _constant(self, node: fx.Node) -> None:
        args, kwargs = _arguments(node, self.constants.__getitem__)
        call = node.target if callable(node.target) else getattr(type(args[0]), str(node.target))
        self.constants[node] = self._number(call(*args, **kwargs))

    def _call(self, node: fx.Node) -> None:
        args, kwargs = _arguments(node, lambda n: self.constants.get(n, n))
        variable = self.names.__contains__
        found = of_call(node.target, args, kwargs, lambda v: isinstance(v, fx.Node) and variable(v))
        if found is None:
            raise _without_rule(f"torch's {operation_name(node.target)}", place(node))
        operation, inputs = found
        if operation is None:
            self.names[node] = self.names[inputs[0]]
        else:
            self.steps.append(Step(node.name, operation, tuple(self.names[source] for source in inputs)))
            self.names[node] = node.name

    def _number(self, value: Any) -> Any:
        return value.detach().to(self.dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


def _arguments(node: fx.Node, value: Callable[[fx.Node], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args: Any = fx.node.map_arg(node.args, value)
    kwargs: Any = fx.node.map_arg(node.kwargs, value)
    return tuple(args), dict(kwargs)


def _attribute(model: nn.Module, name: str) -> Any:
    value: Any = model
    for part in name.split("."):
        value = getattr(value, part)
    return value
