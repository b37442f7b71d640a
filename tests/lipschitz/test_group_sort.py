"""GroupSort2 against torch's sort."""

from copy import deepcopy

import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.lipschitz import GroupSort2


def drawn(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(5, 6), (3, 8, 4, 5)])
def test_it_sorts_channels_of_the_first_half_with_those_of_the_second(shape):
    x = drawn(*shape)
    pairs = torch.stack(x.chunk(2, 1)).sort(0).values
    layer = GroupSort2(shape[1], images=len(shape) == 4).double()
    torch.testing.assert_close(layer(x), torch.cat([*pairs], 1))


def test_it_keeps_the_norm_of_gradients():
    x, direction = drawn(4, 6, 3, 3).requires_grad_(), drawn(4, 6, 3, 3) + 1
    (gradient,) = torch.autograd.grad((GroupSort2(6).double()(x) * direction).sum(), x)
    torch.testing.assert_close(gradient.flatten(1).norm(dim=1), direction.flatten(1).norm(dim=1))


def test_it_has_nothing_to_train_or_to_save():
    layer = deepcopy(GroupSort2(6)).half().float()
    assert not list(layer.parameters())
    assert not layer.state_dict()
    assert layer(torch.ones(1, 6, 2, 2)).shape == (1, 6, 2, 2)


@pytest.mark.parametrize("channels", [0, 1, 7])
def test_an_odd_number_of_channels_is_refused(channels):
    with pytest.raises(InputError, match=f"there are {channels}: give an even number"):
        GroupSort2(channels)
