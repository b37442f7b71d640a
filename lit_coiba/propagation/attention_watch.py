"""Whether recorded attention weights are all that mixes the tokens of a forward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from lit_coiba.core.errors import InputError

FUSED = "scaled_dot_product_attention"
PRODUCTS = ("matmul", "bmm", "einsum")


def attends(name: str, args: tuple[Any, ...]) -> bool:
    """Whether a call of torch's is fused attention, or multiplies two batches of matrices, as attention does."""
    if name == FUSED:
        return True
    factors = args[1:] if name == "einsum" else args
    factors = tuple(factors[0]) if factors and isinstance(factors[0], tuple | list) else factors
    tensors = [factor for factor in factors if isinstance(factor, Tensor) and factor.ndim > 2]
    return name in PRODUCTS and len([t for t in tensors if not isinstance(t, nn.Parameter)]) > 1


class AttentionWatch(TorchFunctionMode):
    """Refuses a forward in which tokens are mixed by anything but the weights that were recorded last.

    Args:
        recorded: To which the weights of each attention are added, while it runs.
        method: Whose name begins the sentence of a refusal.
    """

    def __init__(self, recorded: list[Tensor], method: str) -> None:
        super().__init__()
        self.recorded = recorded
        self.method = method
        self._running: nn.Module | None = None
        self._count = self._mixed = 0
        self._blind = False

    def inside(self, attention: nn.Module) -> tuple[RemovableHandle, ...]:
        """Hooks that tell when an attention runs, whose weights are recorded."""
        return attention.register_forward_pre_hook(self._enter), attention.register_forward_hook(self._leave)

    def blind_in(self, head: nn.Module) -> tuple[RemovableHandle, ...]:
        """Hooks that let a head multiply what it likes."""

        def turn(blind: bool) -> Callable[..., None]:
            return lambda *_: setattr(self, "_blind", blind)

        return head.register_forward_pre_hook(turn(True)), head.register_forward_hook(turn(False))

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """One operation of the model."""
        name = getattr(func, "__name__", "")
        if not self._blind and attends(name, args):
            if name == FUSED or self._running is None:
                raise InputError(f"{self.method} cannot read all attention of this model: {self._where()}; {OTHERS}")
            self._mixed += len(self.recorded) > self._count and args[0] is self.recorded[-1]
        return func(*args, **(kwargs or {}))

    def _enter(self, attention: nn.Module, inputs: Any) -> None:
        self._running, self._count, self._mixed = attention, len(self.recorded), 0

    def _leave(self, attention: nn.Module, inputs: Any, output: Any) -> None:
        weights = self.recorded[self._count :]
        square = len(weights) == 1 and weights[0].ndim == 4 and weights[0].shape[-1] == weights[0].shape[-2]
        if not square or self._mixed != 1:
            name = type(attention).__name__
            raise InputError(f"{self.method} cannot read the weights of {name}, which mixes tokens by others: {OTHERS}")
        self._running = None

    def _where(self) -> str:
        if self._running is not None:
            return f"{type(self._running).__name__} always fuses it"
        return "some is of another build than timm's ViTs and torch's MultiheadAttention"


OTHERS = "take AttnLRP, InputXGradient or RISE"
