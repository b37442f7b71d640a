"""What a module computes, changed for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

Change = Callable[[Tensor], Tensor]


def output_hook(change: Change) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    """A forward hook that hands on ``change(output)``."""
    return lambda module, inputs, output: change(output)


@contextmanager
def override_forward(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """`module` is computed by `forward`; on leaving, by what it was computed before."""
    before = vars(module).get("forward")
    vars(module)["forward"] = forward
    try:
        yield
    finally:
        if before is None:
            del vars(module)["forward"]
        else:
            vars(module)["forward"] = before


def captured(module: nn.Module, forward: Callable[[Tensor], Any], images: Tensor) -> Tensor:
    """Output of `module` in ``forward(images)``."""
    found: list[Tensor] = []
    handle = module.register_forward_hook(lambda m, inputs, output: found.append(output))
    try:
        forward(images)
    finally:
        handle.remove()
    return found[0]
