"""Steps of a CNN that are no layers, each with the rule by which it hands relevance back.

Gradients carry relevance here: what comes back to the input of a step is its relevance itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Passed(nn.Module):
    """Number by number: all relevance is passed on, as zennit's ``Pass``.

    Args:
        function: Whose arguments it is called with.
        place: Of the argument that has the relevance; the others are constants, or gates and denominators.
    """

    def __init__(self, function: Callable[..., Tensor], place: int = 0) -> None:
        super().__init__()
        self.function = (function,)  # if it is a module, no second place for it
        self.place = place

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """What the function puts out."""
        with torch.no_grad():
            held = [value.clone() if k == self.place else value for k, value in enumerate(args)]  # it may write there
            output = self.function[0](*held, **kwargs)
        return _Passed.apply(args[self.place], output)


class Spread(nn.Module):
    """Linear, from one tensor to another: each number has the share that it adds, as zennit's ``Norm``.

    Args:
        function: Its first argument is the tensor.
        epsilon: What stabilises quotients.
    """

    def __init__(self, function: Callable[..., Tensor], epsilon: float) -> None:
        super().__init__()
        self.function = (function,)
        self.epsilon = epsilon

    def forward(self, values: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """What the function puts out."""
        return _Spread.apply(lambda x: self.function[0](x, *args, **kwargs), self.epsilon, values)


class Summed(nn.Module):
    """``a + sign * alpha * b``: each branch has the share that it adds.

    Args:
        sign: 1 or -1.
        epsilon: What stabilises quotients.
    """

    def __init__(self, sign: int, epsilon: float) -> None:
        super().__init__()
        self.sign = sign
        self.epsilon = epsilon

    def forward(self, a: Tensor, b: Tensor, alpha: float = 1) -> Tensor:
        """The sum; shapes are broadcast."""
        branches = torch.stack(torch.broadcast_tensors(a, b))
        factors = branches.new_tensor([1, self.sign * alpha]).view(2, *(1 for _ in branches.shape[1:]))
        return _Spread.apply(lambda x: (x * factors).sum(0), self.epsilon, branches)


class Gated(nn.Module):
    """The product of a value and a gate, of which all relevance is the value's, the larger one's."""

    def forward(self, value: Tensor, gate: Tensor) -> Tensor:
        """The product; shapes are broadcast."""
        if value.numel() < gate.numel():
            value, gate = gate, value
        return _Passed.apply(value, (value * gate).detach())


class _Passed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, output: Tensor) -> Tensor:
        ctx.shape = values.shape
        return output.clone()

    @staticmethod
    def backward(ctx: Any, *relevance: Tensor) -> tuple[Tensor, None]:
        return relevance[0].sum_to_size(ctx.shape), None


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: Callable[[Tensor], Tensor], epsilon: float, values: Tensor) -> Tensor:
        ctx.function, ctx.epsilon = function, epsilon
        ctx.save_for_backward(values)
        return function(values).clone()

    @staticmethod
    def backward(ctx: Any, *relevance: Tensor) -> tuple[None, None, Tensor]:
        (saved,) = ctx.saved_tensors
        with torch.enable_grad():
            values = saved.detach().requires_grad_()
            output = ctx.function(values)
        stable = output.detach() + torch.where(output.detach() < 0, -ctx.epsilon, ctx.epsilon)
        return None, None, values.detach() * torch.autograd.grad(output, values, relevance[0] / stable)[0]
