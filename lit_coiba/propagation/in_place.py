"""Steps of a traced network that write into a tensor which is read again afterwards."""

from __future__ import annotations

import operator

from torch import fx, nn

from lit_coiba.core.errors import InputError

WRITERS = (operator.iadd, operator.isub, operator.imul, operator.itruediv)
SAME_MEMORY = (nn.Identity, nn.Flatten, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)  # in evaluation mode
VIEWS = {
    *("view", "view_as", "reshape", "reshape_as", "flatten", "unflatten", "squeeze", "unsqueeze", "permute"),
    *("transpose", "swapaxes", "movedim", "expand", "expand_as", "dropout", "dropout1d", "dropout2d", "dropout3d"),
}


def refuse_overwriting(model: nn.Module, graph: fx.Graph, method: str, others: str) -> None:
    """Whoever computes steps out of place computes another function where a tensor is read after it was written into.

    It is the same tensor under another name, too: behind an identity, a dropout or a view of all of it.

    Args:
        model: That the graph was traced from.
        graph: Its steps, in the order of execution.
        method: Whose name begins the sentence.
        others: What else to do, which ends it.

    Raises:
        InputError: There is such a step.
    """
    order = {node: place for place, node in enumerate(graph.nodes)}
    owner: dict[fx.Node, fx.Node] = {}  # whose memory a step's output is
    names: dict[fx.Node, list[fx.Node]] = {}  # of the memory of an owner, by now
    for node in graph.nodes:
        source, writes = node.args[0] if node.args else None, _writes(model, node)
        if isinstance(source, fx.Node) and (writes or _shows(model, node)):
            owner[node] = owner[source]
            if writes and any(order[user] > order[node] for name in names[owner[node]] for user in name.users):
                raise InputError(
                    f"{method} cannot follow {node.name}, which writes in place into a tensor that is used again: build"
                    f" the model with inplace=False, or {others}"
                )
        else:
            owner[node] = node
        names.setdefault(owner[node], []).append(node)


def _writes(model: nn.Module, node: fx.Node) -> bool:
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        return getattr(module, "inplace", False) is True and not isinstance(module, SAME_MEMORY)
    if node.op not in ("call_function", "call_method"):
        return False
    name = _name(node)
    named = name.endswith("_") and not name.startswith("_")
    return named or node.target in WRITERS or node.kwargs.get("inplace") is True


def _shows(model: nn.Module, node: fx.Node) -> bool:
    """Whether the output is the whole input under another name."""
    if node.op == "call_module":
        return isinstance(model.get_submodule(str(node.target)), SAME_MEMORY)
    return node.op in ("call_function", "call_method") and _name(node) in VIEWS


def _name(node: fx.Node) -> str:
    return str(getattr(node.target, "__name__", node.target))
