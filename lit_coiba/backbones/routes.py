"""Through which layers a model's output depends on its input, read from autograd's graph of one forward.

A tensor is a *cut* if every way from the input to the output leads through it: replaced by a constant, it leaves
nothing of the input in the output. These are the dominators of the graph, found by counting: the number of paths to the
tensor times that of paths from it is the number of all paths.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge


class Routes(NamedTuple):
    """What one forward with gradients showed."""

    reaches: bool  # the output depends on the input by ways that gradients can take
    on_path: frozenset[str]  # layers from which the output depends
    cuts: frozenset[str]  # layers through which all of it leads
    edges: dict[str, GradientEdge]  # of the layers on the path


def edge_of(output: Any) -> GradientEdge | None:
    """Where a tensor stands in the graph now; what is later written into it comes behind that. None = nowhere."""
    if not isinstance(output, Tensor) or output.grad_fn is None:
        return None
    return get_gradient_edge(output)


def routes(output: Tensor, start: Tensor, edges: dict[str, GradientEdge]) -> Routes:
    """Count the ways from `start`, a leaf that requires gradients, to `output` that lead through each layer.

    Args:
        output: The model's output.
        start: Its input.
        edges: Layer -> its output's `edge_of`.
    """
    if output.grad_fn is None:
        return Routes(False, frozenset(), frozenset(), {})
    root, nodes = output.grad_fn, _ordered(output.grad_fn)
    behind: dict[Any, int] = {}  # node -> number of paths from the start to it
    for node in nodes:
        own = int(getattr(node, "variable", None) is start)
        behind[node] = own + sum(behind[other] for other, _ in node.next_functions if other is not None)
    total = behind[root]
    ahead: dict[Any, int] = {node: 0 for node in nodes} | {root: 1}  # node -> number of paths from it to the output
    at: dict[tuple[Any, int], int] = {(root, output.output_nr): 1}  # the same for each output of a node
    for node in reversed(nodes):
        for other, number in node.next_functions:
            if other is not None:
                ahead[other] += ahead[node]
                at[other, number] = at.get((other, number), 0) + ahead[node]
    through = {
        name: at.get((edge.node, edge.output_nr), 0) * behind[edge.node]
        for name, edge in edges.items()
        if edge.node in behind
    }
    on_path = {name for name, paths in through.items() if paths}
    cuts = {name for name in on_path if through[name] == total}
    return Routes(bool(total), frozenset(on_path), frozenset(cuts), {name: edges[name] for name in on_path})


def _ordered(root: Any) -> list[Any]:
    """Nodes of the graph behind `root`, each after those that it leads to."""
    found: list[Any] = []
    seen = {root}
    stack = [(root, iter(root.next_functions))]
    while stack:
        node, others = stack[-1]
        for other, _ in others:
            if other is not None and other not in seen:
                seen.add(other)
                stack.append((other, iter(other.next_functions)))
                break
        else:
            stack.pop()
            found.append(node)
    return found
