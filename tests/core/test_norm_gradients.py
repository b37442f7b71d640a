"""torch's norms lead gradients of one image back to where they belong, in whatever order these lie in memory."""

import pytest
import torch
from torch import nn

from lit_coiba.attribution import InputXGradient
from lit_coiba.backbones import Backbone
from lit_coiba.core.frozen import frozen
from tests._testers import tiny


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, nn.InstanceNorm2d])
@pytest.mark.parametrize("count", [1, 2])
def test_the_gradient_is_that_of_the_formula_in_whatever_order_it_comes(norm, count):
    torch.manual_seed(0)
    layer = norm(6, affine=True).double().eval()
    nn.init.normal_(layer.weight)
    images = torch.randn(count, 6, 4, 4, dtype=torch.float64, requires_grad=True)
    start = torch.randn(count, 16, 6, dtype=torch.float64).transpose(1, 2).unflatten(2, (4, 4))  # channels last
    mean, variance = torch.zeros(1).double(), torch.ones(1).double()
    if norm is nn.InstanceNorm2d:
        mean, variance = images.mean((2, 3), keepdim=True), images.var((2, 3), correction=0, keepdim=True)
    by_hand = (images - mean) / (variance + layer.eps).sqrt() * layer.weight.view(-1, 1, 1)
    expected = torch.autograd.grad(by_hand, images, start.clone(memory_format=torch.contiguous_format))[0]
    with frozen(layer):
        found = torch.autograd.grad(layer(images), images, start)[0]
    torch.testing.assert_close(found, expected)
    assert not layer._forward_hooks


def test_an_image_has_the_same_map_alone_and_in_a_batch():
    """XCiT's stem ends in a batch norm whose output is made a sequence of tokens."""
    model = Backbone("xcit_nano_12_p16_224", num_classes=5, image_size=64).eval()
    tiny.randomise(model, 0)
    model, images = model.double(), tiny.images(3, (64, 64)).double()
    together = InputXGradient().attribute(model, images, 1)
    alone = torch.cat([InputXGradient().attribute(model, image, 1) for image in images.split(1)])
    torch.testing.assert_close(alone, together)
