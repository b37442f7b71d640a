"""Operations that write into their inputs: found in a traced network, switched off for a while, or refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, fx, nn

from lit_coiba.core.errors import Unsupported
from lit_coiba.propagation.operations import DROPOUTS, IN_PLACE_OPERATORS, VIEWS, is_activation, operation_name

_seen: WeakKeyDictionary[nn.Module, frozenset[int]] = WeakKeyDictionary()  # activations that write and may

SAME_MEMORY = VIEWS | DROPOUTS  # in evaluation mode the output is the whole input under another name


@contextmanager
def out_of_place(model: nn.Module) -> Iterator[None]:
    """Activations leave their inputs alone; on leaving, those that wrote into them do so again."""
    writing = _writing(model)
    try:
        for module in writing:
            module.inplace = False  # type: ignore[assignment]
        yield
    finally:
        for module in writing:
            module.inplace = True  # type: ignore[assignment]


def check_out_of_place(model: nn.Module, images: Tensor, separate: Tensor) -> None:
    """Refuse a model whose logits `separate`, computed inside `out_of_place`, are not those that it computes.

    The bound lies between rounding, which even in bf16 is some hundredths of the largest logit, and what a model does
    whose values are not those that it should read. One batch shows it; a model is looked at again when other
    activations of it write.

    Args:
        model: The model, as it is outside.
        images: What the logits are of.
        separate: Logits ``(B, K)``.

    Raises:
        Unsupported: They differ by more than a tenth of the largest one.
    """
    writing = frozenset(map(id, _writing(model)))
    if not writing or _seen.get(model) == writing:
        return
    with torch.no_grad():
        logits = model(images)
        if (separate - logits).abs().max() > 0.1 * logits.abs().max():
            raise _overwriting()
    _seen[model] = writing


def refuse_overwriting(model: nn.Module, graph: fx.Graph) -> None:
    """Refuse a model that reads a tensor after it was written into: out of place, its steps are another function.

    It is the same tensor under another name, too: behind an identity, a dropout or a view of all of it.

    Args:
        model: The model that the graph was traced from.
        graph: Its steps, in the order of execution.

    Raises:
        Unsupported: There is such a step.
    """
    order = {node: place for place, node in enumerate(graph.nodes)}
    owner: dict[fx.Node, fx.Node] = {}  # the step whose memory the output of a step is
    names: dict[fx.Node, list[fx.Node]] = {}  # the steps so far whose outputs are the memory of an owner
    for node in graph.nodes:
        source, writes = node.args[0] if node.args else None, _writes(model, node)
        if isinstance(source, fx.Node) and (writes or _shares_memory(model, node)):
            owner[node] = owner[source]
            if writes and any(order[user] > order[node] for name in names[owner[node]] for user in name.users):
                raise _overwriting(str(node.target) if node.op == "call_module" else node.name)
        else:
            owner[node] = node
        names.setdefault(owner[node], []).append(node)


def _writing(model: nn.Module) -> list[nn.Module]:
    """Activations that write into their inputs."""
    return [m for m in model.modules() if is_activation(m) and getattr(m, "inplace", None) is True]


def _overwriting(where: str = "") -> Unsupported:
    return Unsupported(
        "an operation that writes in place into a tensor that is used again",
        where,
        "build the model with inplace=False",
    )


def _writes(model: nn.Module, node: fx.Node) -> bool:
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        return getattr(module, "inplace", False) is True and not isinstance(module, SAME_MEMORY.modules)
    if node.op not in ("call_function", "call_method"):
        return False
    name = str(getattr(node.target, "__name__", node.target))
    in_place = name.endswith("_") and not name.startswith("_")
    return in_place or node.target in IN_PLACE_OPERATORS or node.kwargs.get("inplace") is True


def _shares_memory(model: nn.Module, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(model.get_submodule(str(node.target)), SAME_MEMORY.modules)
    return node.op in ("call_function", "call_method") and operation_name(node.target) in SAME_MEMORY.names
