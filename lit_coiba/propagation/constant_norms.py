"""Norms over the input itself, whose standard deviation or length counts as a constant; arguments as in torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lit_coiba.functional import precise
from lit_coiba.propagation.operations import operation_name


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
) -> Tensor:
    """``(x - mean) / constant``, without the bias."""
    axes = tuple(range(-len(normalized_shape), 0))
    scaled = _normalized(input - input.mean(axes, keepdim=True), axes, eps)
    return scaled if weight is None else scaled * weight


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """``x / constant``."""
    scaled = _normalized(input, tuple(range(-len(normalized_shape), 0)), eps)
    return scaled if weight is None else scaled * weight


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
) -> Tensor:
    """``(x - mean) / constant`` for each group of channels, without the bias."""
    grouped = input.unflatten(1, (num_groups, -1)).flatten(2)
    scaled = _normalized(grouped - grouped.mean(2, keepdim=True), (2,), eps).reshape(input.shape)
    return scaled if weight is None else scaled * weight.view(-1, *(1 for _ in input.shape[2:]))


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *_: Any,
) -> Tensor:
    """A group norm with groups of one channel; with running statistics it is linear already."""
    if use_input_stats:
        return group_norm(input, input.shape[1], weight, bias, eps)
    return torch.nn.functional.instance_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: None = None) -> Tensor:
    """``x / constant``, where the constant is the length of x."""
    return input / input.detach().norm(p, dim, keepdim=True).clamp_min(eps)


def _normalized(centred: Tensor, axes: tuple[int, ...], eps: float | None) -> Tensor:
    """`centred` divided by its root mean square, a constant; `eps` None is the precision of its dtype."""
    mean_square = precise(centred.detach()).square().mean(axes, keepdim=True)
    within = torch.finfo(centred.dtype).eps if eps is None else eps
    return centred * (mean_square + within).rsqrt().to(centred.dtype)


class ConstantNorms(TorchFunctionMode):
    """Norms over the input keep their values inside, and have the gradient of the same norms with constants."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """One operation."""
        output, rule = func(*args, **(kwargs or {})), CONSTANT_NORMS.get(operation_name(func))
        return output if rule is None else valued(output, rule(*args, **(kwargs or {})))


def with_constants(norm: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """What `norm` makes of values, as a linear function of them: its statistics count as constants."""
    with ConstantNorms():
        return norm(values)


def valued(value: Tensor, gradient: Tensor) -> Tensor:
    """A tensor with the values of one and the gradient of another."""
    return _Valued.apply(gradient, value.detach())


class _Valued(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


CONSTANT_NORMS: dict[str, Callable[..., Tensor]] = {
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "group_norm": group_norm,
    "instance_norm": instance_norm,
    "normalize": normalize,
}
