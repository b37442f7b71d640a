"""Checks during a forward that the recorded attention weights are all that mixes its tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from lit_coiba.core.errors import Unsupported
from lit_coiba.propagation.operations import FUSED_ATTENTION, MATRIX_PRODUCTS, operation_name


def mixes_tokens(name: str, args: tuple[Any, ...]) -> bool:
    """Whether an operation of torch is fused attention, or multiplies two batches of matrices, as attention does."""
    if name in FUSED_ATTENTION.names:
        return True
    factors = args[1:] if name == "einsum" else args
    factors = tuple(factors[0]) if factors and isinstance(factors[0], tuple | list) else factors
    tensors = [factor for factor in factors if isinstance(factor, Tensor) and factor.ndim > 2]
    return name in MATRIX_PRODUCTS.names and len([t for t in tensors if not isinstance(t, nn.Parameter)]) > 1


class AttentionWatch(TorchFunctionMode):
    """Refuses a forward in which tokens are mixed by anything but the weights that were recorded last.

    Args:
        recorded: List to which the weights of each attention are added while it runs.

    Raises:
        Unsupported: In a forward inside.
    """

    def __init__(self, recorded: list[Tensor]) -> None:
        super().__init__()
        self.recorded = recorded
        self._running: str | None = None  # name of the attention that runs
        self._count = self._mixed = 0
        self._ignoring = False

    def inside(self, name: str, attention: nn.Module) -> tuple[RemovableHandle, ...]:
        """Hooks that note when an attention runs whose weights are recorded."""

        def enter(*_: Any) -> None:
            self._running, self._count, self._mixed = name, len(self.recorded), 0

        def leave(*_: Any) -> None:
            weights = self.recorded[self._count :]
            square = len(weights) == 1 and weights[0].ndim == 4 and weights[0].shape[-1] == weights[0].shape[-2]
            if not square or self._mixed != 1:
                raise Unsupported(f"{type(attention).__name__}, which mixes tokens by other weights", name)
            self._running = None

        return attention.register_forward_pre_hook(enter), attention.register_forward_hook(leave)

    def ignore(self, head: nn.Module) -> tuple[RemovableHandle, ...]:
        """Hooks that let a head multiply any matrices."""

        def switch(ignoring: bool) -> Callable[..., None]:
            return lambda *_: setattr(self, "_ignoring", ignoring)

        return head.register_forward_pre_hook(switch(True)), head.register_forward_hook(switch(False))

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """One operation of the model."""
        name = operation_name(func)
        if not self._ignoring and mixes_tokens(name, args):
            if self._running is not None and name in FUSED_ATTENTION.names:
                raise Unsupported("attention that is always fused", self._running)
            if self._running is None:
                raise Unsupported("attention of another kind than that of timm's ViTs and torch's MultiheadAttention")
            self._mixed += len(self.recorded) > self._count and args[0] is self.recorded[-1]
        return func(*args, **(kwargs or {}))
