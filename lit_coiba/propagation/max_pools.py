"""The gradient of max pools, shared among the places of a window that are all largest.

torch gives it to the first place in row-major order. Where a window is constant, as in a reference image or a black
border, a map would then lean to the upper left, and the map of a flipped image would not be the flipped map.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lit_coiba.propagation.operations import ADAPTIVE_MAX_POOLS, MAX_POOLS

Pool = Callable[[Tensor], Tensor]
Window = tuple[Any, ...]  # an index of places: those that one offset inside the windows has, one for each window


class Windows(NamedTuple):
    """The windows of a max pool over one, two or three axes."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    @classmethod
    def of(cls, axes: int, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1) -> Windows:
        """From the arguments of torch's functions and modules."""
        steps = stride if stride else kernel_size
        return cls(*(_each(value, axes) for value in (kernel_size, steps, padding, dilation)))

    def places(self, output: Tensor) -> list[Window]:
        """For each offset inside a window the places, of the padded input, that all windows have there."""
        sizes = output.shape[-len(self.kernel) :]
        found = []
        for offset in product(*(range(kernel) for kernel in self.kernel)):
            ways = zip(offset, self.dilation, self.stride, sizes)
            slices = [slice(k * apart, k * apart + (count - 1) * step + 1, step) for k, apart, step, count in ways]
            found.append((..., *slices))
        return found

    def padded(self, values: Tensor, output: Tensor) -> Tensor:
        """The input with borders of minus infinity, as far as windows reach."""
        axes, ends = len(self.kernel), list[int]()
        for axis in reversed(range(axes)):
            windows = output.shape[axis - axes]
            reach = (windows - 1) * self.stride[axis] + (self.kernel[axis] - 1) * self.dilation[axis] + 1
            ends += [self.padding[axis], max(0, reach - self.padding[axis] - values.shape[axis - axes])]
        return pad(values, ends, value=-torch.inf)

    def ties(self, values: Tensor, output: Tensor) -> Tensor:
        """How many places of each window are largest, as `output`."""
        padded, found = self.padded(values, output), torch.zeros_like(output)
        for place in self.places(output):
            found += (padded[place] == output).to(found)
        return found

    def shared(self, values: Tensor, output: Tensor, each: Tensor) -> Tensor:
        """What the places of the input get if each of a window's largest ones gets `each`, as `output`."""
        padded = self.padded(values, output)
        found = torch.zeros_like(padded)
        for place in self.places(output):
            found[place] += torch.where(padded[place] == output, each, 0)
        sizes = values.shape[-len(self.kernel) :]
        inside: Window = (..., *(slice(first, first + size) for first, size in zip(self.padding, sizes)))
        return found[inside]


class AdaptiveWindows(NamedTuple):
    """The windows of an adaptive max pool: as many as the output has places, which may overlap and differ in size."""

    axes: int

    def ties(self, values: Tensor, output: Tensor) -> Tensor:
        """As of `Windows`."""
        found = torch.zeros_like(output)
        for own, window in self._windows(values, output):
            largest = values[window] == output[own]
            found[own] = largest.sum(tuple(range(-self.axes, 0)), keepdim=True).to(found)
        return found

    def shared(self, values: Tensor, output: Tensor, each: Tensor) -> Tensor:
        """As of `Windows`."""
        found = torch.zeros_like(values)
        for own, window in self._windows(values, output):
            found[window] += torch.where(values[window] == output[own], each[own], 0)
        return found

    def _windows(self, values: Tensor, output: Tensor) -> Iterator[tuple[Window, Window]]:
        """Each place of the output, and those of the input that it is the maximum of."""
        pixels, cells = values.shape[-self.axes :], output.shape[-self.axes :]
        for cell in product(*(range(count) for count in cells)):
            ends = [(k * size // n, math.ceil((k + 1) * size / n)) for k, size, n in zip(cell, pixels, cells)]
            yield (..., *(slice(k, k + 1) for k in cell)), (..., *(slice(*end) for end in ends))


def windows_of(pool: nn.Module) -> Windows | AdaptiveWindows:
    """The windows of a max pool of torch."""
    kinds = zip(MAX_POOLS.modules, ADAPTIVE_MAX_POOLS.modules)
    axes = next(axes for axes, kind in enumerate(kinds, 1) if isinstance(pool, kind))
    if isinstance(pool, ADAPTIVE_MAX_POOLS.modules):
        return AdaptiveWindows(axes)
    given: Any = pool
    return Windows.of(axes, given.kernel_size, given.stride, given.padding, given.dilation)


def shared_among_ties(
    pool: Pool, windows: Windows | AdaptiveWindows, inputs: Tensor, output: Tensor, gradient: Tensor
) -> Tensor:
    """Gradient of a max pool with respect to its input, each window's in equal parts for all its largest places.

    Args:
        pool: The pool, of one tensor.
        windows: Its windows.
        inputs: What is pooled, ``(..., H, W)``, or with another number of axes.
        output: The maxima, ``(..., h, w)``.
        gradient: Gradient with respect to these.

    Example:
        >>> inputs, output, gradient = torch.ones(1, 4), torch.ones(1, 2), torch.tensor([[2.0, 4.0]])
        >>> shared_among_ties(nn.MaxPool1d(2), Windows.of(1, 2), inputs, output, gradient)
        tensor([[1., 1., 2., 2.]])
    """
    with torch.no_grad():
        ties = windows.ties(inputs, output)
        tied = ties > 1
        alone = gradient.masked_fill(tied, 0)
    with torch.enable_grad():  # torch's own gradient where one place is the largest
        places = inputs.detach().clone().requires_grad_()
        (found,) = torch.autograd.grad(pool(places), places, alone)
    if tied.any():
        found = found + windows.shared(inputs, output, (gradient / ties.clamp_min(1)).masked_fill(~tied, 0))
    return found


class SharedMaxPool(nn.Module):
    """A max pool whose gradient is shared among ties.

    Args:
        function: The pool, of one tensor.
        windows: Its windows.
    """

    def __init__(self, function: Pool, windows: Windows | AdaptiveWindows) -> None:
        super().__init__()
        self.function = (function,)  # in a tuple, so that a module is not registered twice
        self.windows = windows

    def forward(self, values: Tensor) -> Tensor:
        """The maxima."""
        return _Shared.apply(values, self.function[0], self.windows)


class _Shared(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, function: Pool, windows: Windows | AdaptiveWindows) -> Tensor:
        output = function(values)
        ctx.function, ctx.windows = function, windows
        ctx.save_for_backward(values, output)
        return output.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        values, output = ctx.saved_tensors
        return shared_among_ties(ctx.function, ctx.windows, values, output, gradients[0]), None, None


def _each(value: Any, axes: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,) * axes
