"""Steps that are affine: linear layers, convolutions, norms with fixed statistics, means, reshapes, sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.grad import conv2d_input

from lit_coiba.bounds.box import Box
from lit_coiba.bounds.operation import Carried, Operation


class Linear(Operation):
    """``W z + b`` over the last axis: the center moves by W, the radius by ``|W|``."""

    def __init__(self, module: nn.Linear, dtype: torch.dtype) -> None:
        self.module = module
        self.weight = module.weight.detach().to(dtype)
        self.bias = None if module.bias is None else module.bias.detach().to(dtype)

    def forward(self, *inputs: Box) -> Box:
        """Interval arithmetic."""
        (box,) = inputs
        weights = {"weight": self.weight} | ({} if self.bias is None else {"bias": self.bias})
        return Box.around(functional_call(self.module, weights, (box.centre,)), F.linear(box.radius, self.weight.abs()))

    def backward(self, rows: Tensor, inputs: Sequence[Box], shapes: Sequence[Sequence[int]]) -> Carried:
        """``a W``, and ``a . b``."""
        return (rows @ self.weight,), None if self.bias is None else (rows * self.bias).flatten(2).sum(2)


class Convolution(Operation):
    """``Conv2d`` with zero padding, also with that of TensorFlow, which depends on the size of the image."""

    def __init__(self, module: nn.Conv2d, dtype: torch.dtype, dynamic: bool) -> None:
        self.weight = module.weight.detach().to(dtype)
        self.bias = None if module.bias is None else module.bias.detach().to(dtype)
        self.settings = (module.stride, 0, module.dilation, module.groups)
        self.padding, self.dynamic = module.padding, dynamic

    def forward(self, *inputs: Box) -> Box:
        """Interval arithmetic."""
        (box,) = inputs
        around = self._around(box.lower.shape[-2:])
        centre = F.conv2d(F.pad(box.centre, around), self.weight, self.bias, *self.settings)
        return Box.around(centre, F.conv2d(F.pad(box.radius, around), self.weight.abs(), None, *self.settings))

    def backward(self, rows: Tensor, inputs: Sequence[Box], shapes: Sequence[Sequence[int]]) -> Carried:
        """The transposed convolution, and ``a . b``."""
        ((channels, height, width),) = shapes
        left, right, top, bottom = self._around((height, width))
        size = [rows.shape[0] * rows.shape[1], channels, height + top + bottom, width + left + right]
        whole = conv2d_input(size, self.weight, rows.flatten(0, 1), *self.settings)
        inside = whole[..., top : top + height, left : left + width].unflatten(0, rows.shape[:2])
        return (inside,), None if self.bias is None else rows.sum((-2, -1)) @ self.bias

    def _around(self, size: Sequence[int]) -> tuple[int, int, int, int]:
        """Zeros left, right, above and below."""
        (top, bottom), (left, right) = (self._along(axis, size[axis]) for axis in (0, 1))
        return left, right, top, bottom

    def _along(self, axis: int, length: int) -> tuple[int, int]:
        reach = self.settings[2][axis] * (self.weight.shape[2 + axis] - 1)
        stride = self.settings[0][axis]
        if self.dynamic:
            total = max((-(-length // stride) - 1) * stride + reach + 1 - length, 0)
        elif isinstance(self.padding, str):
            total = reach if self.padding == "same" else 0
        else:
            return self.padding[axis], self.padding[axis]
        return total // 2, total - total // 2


class Scale(Operation):
    """``scale * z + shift``, with numbers that broadcast to the shape of z, such as a batch norm in evaluation mode."""

    def __init__(self, scale: Tensor | float, shift: Tensor | float) -> None:
        self.scale, self.shift = scale, shift

    @classmethod
    def of_norm(cls, norm: nn.BatchNorm2d, dtype: torch.dtype) -> Scale:
        """The norm, by its running statistics."""
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None
        assert variance is not None
        scale = (variance.to(dtype) + norm.eps).rsqrt()
        if norm.affine:
            scale = scale * norm.weight.detach().to(dtype)
        shift = -mean.to(dtype) * scale + (norm.bias.detach().to(dtype) if norm.affine else 0)
        return cls(scale.view(-1, 1, 1), shift.view(-1, 1, 1))

    def forward(self, *inputs: Box) -> Box:
        """Interval arithmetic."""
        (box,) = inputs
        scale = torch.as_tensor(self.scale, dtype=box.lower.dtype, device=box.lower.device)
        return Box.around(scale * box.centre + self.shift, scale.abs() * box.radius)

    def backward(self, rows: Tensor, inputs: Sequence[Box], shapes: Sequence[Sequence[int]]) -> Carried:
        """``a * scale``, and ``a . shift``."""
        return (rows * self.scale,), (rows * self.shift).flatten(2).sum(2)


class Averaging(Operation):
    """A linear map with weights that are not negative: means, average pooling, reshapes."""

    merged: ClassVar[bool] = False  # rows of what is averaged are many times as long, and hardly tighter

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def forward(self, *inputs: Box) -> Box:
        """Both corners."""
        return Box(self.function(inputs[0].lower), self.function(inputs[0].upper))

    def backward(self, rows: Tensor, inputs: Sequence[Box], shapes: Sequence[Sequence[int]]) -> Carried:
        """The transposed map, by autograd."""
        with torch.enable_grad():
            point = rows.new_zeros((rows.shape[0] * rows.shape[1], *shapes[0]), requires_grad=True)
            (carried,) = torch.autograd.grad(self.function(point), point, rows.flatten(0, 1))
        return (carried.unflatten(0, rows.shape[:2]),), None


class Sum(Operation):
    """``y + z`` of one shape: the end of a residual branch; with `sign` -1 their difference."""

    def __init__(self, sign: int = 1) -> None:
        self.sign = sign

    def forward(self, *inputs: Box) -> Box:
        """Interval arithmetic."""
        first, second = inputs
        if self.sign < 0:
            second = Box(-second.upper, -second.lower)
        return Box(first.lower + second.lower, first.upper + second.upper)

    def backward(self, rows: Tensor, inputs: Sequence[Box], shapes: Sequence[Sequence[int]]) -> Carried:
        """The same rows on both."""
        first, second = (_shrunk(part, shape) for part, shape in zip((rows, self.sign * rows), shapes))
        return (first, second), None


def _shrunk(rows: Tensor, shape: Sequence[int]) -> Tensor:
    """Rows ``(N, R, ...)`` of an activation that was broadcast from `shape`."""
    return rows.sum_to_size(*rows.shape[:2], *shape)
