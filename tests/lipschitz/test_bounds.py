"""Verified bounds of a 1-Lipschitz network: circular convolutions and GroupSort are walked, no image leaves a bound."""

import pytest
import torch
from torch import nn

from lit_coiba.bounds import Box, trace, upper_bounds
from lit_coiba.lipschitz import GroupSort2
from tests._testers import lipschitz as small


def image(channels=3, size=8):
    return torch.randn(1, channels, size, size, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize("bound", ["ibp", "crown"])
def test_no_image_of_the_box_leaves_a_bound(bound):
    model, radius = small.constrained(size=8).model.double().requires_grad_(False), 0.05
    rows = torch.cat([torch.eye(small.CLASSES), -torch.eye(small.CLASSES)]).double()
    limits = upper_bounds(trace(model, dtype=torch.float64), Box.around(image(), radius), rows[None], bound)[0]
    shifts = 2 * torch.rand(2000, 3, 8, 8, generator=torch.Generator().manual_seed(1)).double() - 1
    shifts[::2] = shifts[::2].sign()
    assert (model(image() + radius * shifts) @ rows.T <= limits + 1e-9).all()
    assert (model(image()) @ rows.T < limits).all()


def test_bounds_of_a_circular_convolution_alone_are_exact():
    """The largest value of a linear map on a box is that of its center, and the radius times the sum of |weights|."""
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 2, 3, 2, 1, padding_mode="circular")
    model = nn.Sequential(conv, nn.Flatten()).double().requires_grad_(False)
    matrix = model(torch.eye(2 * 16, dtype=torch.float64).view(-1, 2, 4, 4)) - model(torch.zeros(1, 2, 4, 4).double())
    expected = model(image(2, 4))[0] + 0.1 * matrix.abs().sum(0)
    rows = torch.eye(8).double()
    for bound in ("ibp", "crown"):
        found = upper_bounds(trace(model, dtype=torch.float64), Box.around(image(2, 4), 0.1), rows[None], bound)[0]
        torch.testing.assert_close(found.flatten(), expected)


def test_group_sort_is_walked():
    model = nn.Sequential(GroupSort2(4), nn.Flatten()).double()
    rows = torch.eye(4 * 4).double()
    found = upper_bounds(trace(model, dtype=torch.float64), Box.around(image(4, 2), 0.1), rows[None], "crown")[0]
    assert (found.flatten() >= model(image(4, 2) + 0.1)[0] - 1e-9).all()
