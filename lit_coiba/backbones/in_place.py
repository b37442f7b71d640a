"""Steps of a traced network that write into their input, which another step reads afterwards."""

from __future__ import annotations

import operator

from torch import fx, nn

from lit_coiba.contracts import InputError

WRITERS = (operator.iadd, operator.isub, operator.imul, operator.itruediv)


def refuse_overwriting(model: nn.Module, graph: fx.Graph, method: str, others: str) -> None:
    """Whoever computes steps out of place computes another function where a tensor is read after it was written into.

    Args:
        model: That the graph was traced from.
        graph: Its steps, in the order of execution.
        method: Whose name begins the sentence.
        others: What else to do, which ends it.

    Raises:
        InputError: There is such a step.
    """
    order = {node: place for place, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        source = node.args[0] if node.args and _writes(model, node) else None
        if isinstance(source, fx.Node) and any(order[user] > order[node] for user in source.users):
            raise InputError(
                f"{method} cannot follow {node.name}, which writes in place into a tensor that is used again: build the"
                f" model with inplace=False, or {others}"
            )


def _writes(model: nn.Module, node: fx.Node) -> bool:
    if node.op == "call_module":
        return getattr(model.get_submodule(str(node.target)), "inplace", False) is True
    if node.op not in ("call_function", "call_method"):
        return False
    name = str(getattr(node.target, "__name__", node.target))
    named = name.endswith("_") and not name.startswith("_")
    return named or node.target in WRITERS or node.kwargs.get("inplace") is True
