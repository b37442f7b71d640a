"""Steps of a CNN that are not layers, each with the rule by which it propagates relevance back.

The gradient of a step with respect to its input is here the relevance of that input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class PassThrough(nn.Module):
    """An elementwise function that passes all relevance on to one argument, as zennit's ``Pass``.

    Args:
        function: The function.
        place: Place of the argument that has the relevance; the others are constants, gates or denominators.
    """

    def __init__(self, function: Callable[..., Tensor], place: int = 0) -> None:
        super().__init__()
        self.function = (function,)  # in a tuple, so that a module is not registered twice
        self.place = place

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Output of the function."""
        with torch.no_grad():
            copied = [value.clone() if k == self.place else value for k, value in enumerate(args)]  # it may write there
            output = self.function[0](*copied, **kwargs)
        return _PassThrough.apply(args[self.place], output)


class Proportional(nn.Module):
    """A linear function of one tensor: each number has the share that it contributes, as zennit's ``Norm``.

    Args:
        function: The function, whose first argument is the tensor.
        epsilon: Stabilizer of quotients.
    """

    def __init__(self, function: Callable[..., Tensor], epsilon: float) -> None:
        super().__init__()
        self.function = (function,)
        self.epsilon = epsilon

    def forward(self, values: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Output of the function."""
        return _Proportional.apply(lambda x: self.function[0](x, *args, **kwargs), self.epsilon, values)


class Sum(nn.Module):
    """``a + sign * alpha * b``: each branch has the share that it contributes.

    Args:
        sign: 1 or -1.
        epsilon: Stabilizer of quotients.
    """

    def __init__(self, sign: int, epsilon: float) -> None:
        super().__init__()
        self.sign = sign
        self.epsilon = epsilon

    def forward(self, a: Tensor, b: Tensor, alpha: float = 1) -> Tensor:
        """The sum; shapes are broadcast."""
        branches = torch.stack(torch.broadcast_tensors(a, b))
        factors = branches.new_tensor([1, self.sign * alpha]).view(2, *(1 for _ in branches.shape[1:]))
        return _Proportional.apply(lambda x: (x * factors).sum(0), self.epsilon, branches)


class Gate(nn.Module):
    """The product of a value and a gate: all relevance is that of the value, which is the larger tensor."""

    def forward(self, value: Tensor, gate: Tensor) -> Tensor:
        """The product; shapes are broadcast."""
        if value.numel() < gate.numel():
            value, gate = gate, value
        return _PassThrough.apply(value, (value * gate).detach())


class _PassThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, output: Tensor) -> Tensor:
        ctx.shape = values.shape
        return output.clone()

    @staticmethod
    def backward(ctx: Any, *relevance: Tensor) -> tuple[Tensor, None]:
        return relevance[0].sum_to_size(ctx.shape), None


class _Proportional(torch.autograd.Function):
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
        epsilon = torch.full_like(output.detach(), ctx.epsilon)  # in the precision of the model
        stable = output.detach() + torch.where(output.detach() < 0, -epsilon, epsilon)
        return None, None, values.detach() * torch.autograd.grad(output, values, relevance[0] / stable)[0]
