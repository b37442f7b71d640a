"""Channels are last in memory where a model takes them, and where it does not they are first."""

import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone


class Flat(nn.Module):
    """A network that makes a feature map a vector, by `view` or by what also takes channels that are last in memory."""

    def __init__(self, flatten):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1, stride=2)
        self.head = nn.Linear(4 * 8 * 8, 5)
        self.flatten = flatten

    def forward(self, images):
        return self.head(self.flatten(self.conv(images).relu()))


@pytest.mark.parametrize(("flatten", "last"), [(lambda x: x.view(len(x), -1), False), (lambda x: x.flatten(1), True)])
def test_channels_are_last_in_memory_where_the_model_takes_them(flatten, last):
    module = Flat(flatten).eval()
    backbone, images = Backbone.wrap(module, image_size=16), torch.randn(2, 3, 16, 16)
    assert backbone.ordered(images).is_contiguous(memory_format=torch.channels_last) == last
    path, orders = backbone.split(["conv"]), []

    def seen(_, activation):
        orders.append(activation.is_contiguous(memory_format=torch.channels_last))
        return activation

    torch.testing.assert_close(path.upper(path.lower(images), seen), module(images))
    assert orders == [last]
