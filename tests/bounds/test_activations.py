"""Each elementwise rule against dense samples of the function."""

import pytest
import torch

from lit_coiba.bounds import activations
from lit_coiba.bounds.activations import Smooth
from lit_coiba.bounds.box import Box

CURVES = {
    "relu": activations.RELU,
    "relu6": activations.RELU6,
    "leaky_relu": activations.leaky_relu(0.1),
    "hardtanh": activations.clipped(-1.0, 2.0),
    "hardsigmoid": activations.HARDSIGMOID,
    "sigmoid": activations.SIGMOID,
    "tanh": activations.TANH,
    "silu": activations.SILU,
    "hardswish": activations.HARDSWISH,
    "gelu": activations.GELU,
    "gelu_tanh": activations.GELU_TANH,
}


def intervals() -> Box:
    """Of many widths, around many places; some of them single points."""
    generator = torch.Generator().manual_seed(0)
    centre = 3 * torch.randn(600, generator=generator).double()
    width = 10 ** (4 * torch.rand(600, generator=generator).double() - 3)
    width[:20] = 0
    return Box.around(centre, width)


def inside(box: Box, count: int = 1001) -> torch.Tensor:
    share = torch.linspace(0, 1, count).double().unsqueeze(1)
    return box.lower + share * (box.upper - box.lower)


@pytest.mark.parametrize("name", CURVES)
def test_range_and_lines_hold_every_value_and_the_range_is_exact(name):
    curve, box = CURVES[name], intervals()
    points = inside(box)
    values, found, lines = curve.function(points), curve.forward(box), curve.lines(box)
    assert (values >= found.lower - 1e-12).all()
    assert (values <= found.upper + 1e-12).all()
    torch.testing.assert_close(values.amin(0), found.lower, rtol=0, atol=1e-4)  # of 1001 points
    torch.testing.assert_close(values.amax(0), found.upper, rtol=0, atol=1e-4)
    assert (values <= lines.upper_slope * points + lines.upper_level + 1e-12).all()
    assert (values >= lines.lower_slope * points + lines.lower_level - 1e-12).all()


def test_gelu_holds_its_samples_where_it_turns():
    """E5: boxes that straddle -0.7518."""
    centre = torch.linspace(-1.2, -0.3, 50).double()
    box = Box.around(centre, 0.6)
    values = torch.nn.functional.gelu(inside(box, 10_001))
    found = activations.GELU.forward(box)
    assert (values >= found.lower - 1e-12).all()
    assert (values <= found.upper + 1e-12).all()
    torch.testing.assert_close(found.lower.min(), torch.tensor(-0.16997120747990369).double())
    assert (found.lower < torch.minimum(*map(torch.nn.functional.gelu, box))).any()  # the ends alone are not enough


def test_relu_has_the_lines_of_crown():
    box = Box(torch.tensor([-2.0, -1.0, 1.0, -3.0]).double(), torch.tensor([1.0, 3.0, 2.0, -1.0]).double())
    lines = activations.RELU.lines(box)
    torch.testing.assert_close(lines.upper_slope, torch.tensor([1 / 3, 3 / 4, 1.0, 0.0]).double())
    torch.testing.assert_close(lines.upper_level, torch.tensor([2 / 3, 3 / 4, 0.0, 0.0]).double())
    torch.testing.assert_close(lines.lower_slope, torch.tensor([0.0, 1.0, 1.0, 0.0]).double())
    torch.testing.assert_close(lines.lower_level, torch.zeros(4).double())


@pytest.mark.parametrize("name", [name for name, curve in CURVES.items() if isinstance(curve, Smooth)])
def test_constants_of_smooth_functions(name):
    curve = CURVES[name]
    z = torch.linspace(-12, 12, 240_002).double()
    for kink in curve.kinks:
        z = z[(z - kink).abs() > 1e-6]
    z.requires_grad_()
    value = curve.function(z)
    (slope,) = torch.autograd.grad(value.sum(), z, create_graph=True)
    (second,) = torch.autograd.grad(slope.sum(), z)
    assert second.abs().max() <= curve.curvature + 1e-6
    if curve.below_relu is not None:
        distance = z.relu() - value
        assert distance.min() >= -1e-12
        assert distance.max() <= curve.below_relu
        assert abs(z[value.argmin()] - curve.minimum) < 2e-4
