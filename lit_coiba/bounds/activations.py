"""Elementwise functions: their ranges over intervals, and lines above and below them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from math import inf, pi, sqrt
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lit_coiba.bounds.box import Box
from lit_coiba.bounds.operation import Carried, Operation

Function = Callable[[Tensor], Tensor]


class Lines(NamedTuple):
    """``slope * z + level`` above and below a function, for each entry of a box."""

    upper_slope: Tensor
    upper_level: Tensor
    lower_slope: Tensor
    lower_level: Tensor


class Activation(Operation):
    """A function of one number that falls up to `minimum` and rises from there on; it may have no minimum.

    Args:
        function: The function.
        minimum: Place of the minimum; ``-inf`` for a function that never falls.
    """

    affine: ClassVar[bool] = False

    def __init__(self, function: Function, minimum: float = -inf) -> None:
        self.function, self.minimum = function, minimum

    def forward(self, *inputs: Box) -> Box:
        """The exact range."""
        (box,) = inputs
        ends = [self.function(end) for end in box]
        lowest = self.function(box.lower.clamp_min(self.minimum).minimum(box.upper))
        return Box(lowest, torch.maximum(*ends))

    def backward(self, rows: Tensor, inputs: Sequence[Box], shapes: Sequence[Sequence[int]]) -> Carried:
        """Positive coefficients take the upper line, negative ones the lower line."""
        lines = Lines(*(line.unsqueeze(1) for line in self.lines(inputs[0])))
        above, below = rows.clamp_min(0), rows.clamp_max(0)
        offset = (above * lines.upper_level + below * lines.lower_level).flatten(2).sum(2)
        return (above * lines.upper_slope + below * lines.lower_slope,), offset

    @abstractmethod
    def lines(self, box: Box) -> Lines:
        """Lines above and below the function over the intervals of `box`."""


class PiecewiseLinear(Activation):
    """A piecewise linear function that never falls: ReLU, ReLU6, LeakyReLU, ...

    The slope of each line is one of the pieces' or the chord's: the one whose line is nearest in the middle of the
    interval. For ReLU that is CROWN's choice: the chord above, and 0 or 1 below.

    Args:
        function: The function.
        knots: Places where two pieces meet.
        slopes: Slopes of the pieces, ascending.
    """

    def __init__(self, function: Function, knots: Sequence[float], slopes: Sequence[float]) -> None:
        super().__init__(function)
        self.knots, self.slopes = knots, slopes

    def lines(self, box: Box) -> Lines:
        """The nearest lines."""
        lower, upper = box
        points = [lower, upper, *(lower.clamp_min(knot).minimum(upper) for knot in self.knots)]
        values = [self.function(point) for point in points]
        chord = _chord(box, values[0], values[1]).clamp(self.slopes[0], self.slopes[-1])
        slopes = [*(torch.full_like(lower, slope) for slope in self.slopes), chord]
        above, below = [], []
        for slope in slopes:
            levels = torch.stack([value - slope * point for value, point in zip(values, points)])
            above.append((slope, levels.amax(0)))
            below.append((slope, levels.amin(0)))
        return _nearest(box, above, below)


class Smooth(Activation):
    """A function with a bounded second derivative: SiLU, GELU, sigmoid, tanh, hardswish.

    Candidates for each line: the tangent in the middle of the interval, moved by what the second derivative allows;
    the constant at the end of the range; and, for functions near ReLU, its lines, moved by the distance from it.

    Args:
        function: The function.
        curvature: Largest absolute second derivative.
        minimum: Place of the minimum; ``-inf`` for a function that never falls.
        below_relu: Largest distance from ReLU, of a function that is never above it; None for all others.
        kinks: Places without a derivative.
    """

    def __init__(
        self,
        function: Function,
        curvature: float,
        minimum: float = -inf,
        below_relu: float | None = None,
        kinks: Sequence[float] = (),
    ) -> None:
        super().__init__(function, minimum)
        self.curvature, self.below_relu, self.kinks = curvature, below_relu, kinks

    def lines(self, box: Box) -> Lines:
        """The nearest lines."""
        middle, radius = box.centre, box.radius
        with torch.enable_grad():
            point = middle.clone().requires_grad_()
            value = self.function(point)
            (slope,) = torch.autograd.grad(value.sum(), point)
        level, allowance = value.detach() - slope * middle, self.curvature / 2 * radius**2
        for kink in self.kinks:
            allowance = allowance.masked_fill((box.lower < kink) & (kink < box.upper), torch.finfo(radius.dtype).max)
        low, high = self.forward(box)
        flat = torch.zeros_like(middle)
        above, below = [(slope, level + allowance), (flat, high)], [(slope, level - allowance), (flat, low)]
        if self.below_relu is not None:
            relu = RELU.lines(box)
            above.append((relu.upper_slope, relu.upper_level))
            below.append((relu.lower_slope, relu.lower_level - self.below_relu))
        return _nearest(box, above, below)


def _chord(box: Box, first: Tensor, last: Tensor) -> Tensor:
    width = box.upper - box.lower
    return torch.where(width > 0, (last - first) / width.clamp_min(torch.finfo(width.dtype).tiny), 0)


def _nearest(box: Box, above: list[tuple[Tensor, Tensor]], below: list[tuple[Tensor, Tensor]]) -> Lines:
    """Of some lines above and some below, each ``(slope, level)``, those that are nearest in the middle of the box."""
    upper, lower = _lowest(box, above, 1), _lowest(box, below, -1)
    return Lines(*upper, *lower)


def _lowest(box: Box, lines: list[tuple[Tensor, Tensor]], sign: int) -> tuple[Tensor, Tensor]:
    slope, level = lines[0]
    height = sign * (slope * box.centre + level)
    for other, other_level in lines[1:]:
        here = sign * (other * box.centre + other_level)
        better = here < height
        slope, level = torch.where(better, other, slope), torch.where(better, other_level, level)
        height = torch.minimum(height, here)
    return slope, level


RELU = PiecewiseLinear(F.relu, (0.0,), (0.0, 1.0))
RELU6 = PiecewiseLinear(F.relu6, (0.0, 6.0), (0.0, 1.0))
HARDSIGMOID = PiecewiseLinear(F.hardsigmoid, (-3.0, 3.0), (0.0, 1 / 6))
SIGMOID = Smooth(torch.sigmoid, 1 / (6 * sqrt(3)))
TANH = Smooth(torch.tanh, 4 / (3 * sqrt(3)))
SILU = Smooth(F.silu, 0.5, minimum=-1.2784645427610738, below_relu=0.2784645428)
HARDSWISH = Smooth(F.hardswish, 1 / 3, minimum=-1.5, below_relu=0.375, kinks=(-3.0, 3.0))
GELU = Smooth(F.gelu, sqrt(2 / pi), minimum=-0.7517915246935645, below_relu=0.1699712075)
GELU_TANH = Smooth(
    lambda z: F.gelu(z, approximate="tanh"), sqrt(2 / pi), minimum=-0.7524614220710162, below_relu=0.1700407506
)  # constants found numerically


def leaky_relu(slope: float) -> PiecewiseLinear:
    """``max(z, slope * z)`` for a slope in [0, 1]."""
    return PiecewiseLinear(lambda z: F.leaky_relu(z, slope), (0.0,), (slope, 1.0))


def clipped(lowest: float, highest: float) -> PiecewiseLinear:
    """``z`` between two numbers: hardtanh, and ReLU6."""
    return PiecewiseLinear(lambda z: z.clamp(lowest, highest), (lowest, highest), (0.0, 1.0))
