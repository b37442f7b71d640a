"""A network as the list of steps that its forward runs, by symbolic tracing."""

from __future__ import annotations

from collections.abc import Callable

from torch import fx, nn

from lit_coiba.core.errors import Unsupported
from lit_coiba.propagation.in_place import refuse_overwriting


def list_steps(model: nn.Module, is_step: Callable[[nn.Module], bool]) -> fx.Graph:
    """The steps of `model`, in the order of execution, which may be computed out of place.

    Args:
        model: In evaluation mode; left as it is.
        is_step: Whether a module is one step as a whole, beside those that torch itself defines.

    Raises:
        Unsupported: The forward depends on values or shapes, or a step writes into a tensor that is used again.
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
    def __init__(self, is_step: Callable[[nn.Module], bool]) -> None:
        super().__init__()
        self._is_step = is_step

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return self._is_step(m) or super().is_leaf_module(m, module_qualified_name)
