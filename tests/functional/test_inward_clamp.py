"""A clamp with a gradient that leads back."""

import pytest
import torch

from lit_coiba.functional.inward_clamp import inward_clamp


@pytest.mark.parametrize("slope", [1.0, -1.0])
def test_values_are_clamped_and_only_the_way_back_has_a_gradient(slope):
    values = torch.tensor([-3.0, -2.0, 0.5, 2.0, 3.0], dtype=torch.double, requires_grad=True)
    clamped = inward_clamp(values, -2, 2)
    assert clamped.tolist() == [-2, -2, 0.5, 2, 2]
    (slope * clamped).sum().backward()
    back = [0, 1, 1, 1, 1] if slope > 0 else [1, 1, 1, 1, 0]  # a step goes against the slope
    assert values.grad.tolist() == [slope * share for share in back]


def test_inside_the_bounds_it_is_the_identity():
    values = torch.linspace(-1, 1, 7, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: inward_clamp(x, -2, 2), values)
