"""Channels are last in memory where a model takes them, and where it does not they are first."""

import pytest
import torch
from torch import nn

from lit_coiba.attribution import HSIC, LIME, RISE, IntegratedGradients, KernelSHAP, Occlusion, ScoreCAM, Sobol
from lit_coiba.backbones import Backbone
from lit_coiba.core.frozen import frozen
from lit_coiba.metrics import Deletion, Insertion, SensitivityN
from tests._testers import tiny


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


def orders_of(model):
    """Whether the channels of what reaches the network are last in memory, forward by forward."""
    found = []
    model.model.register_forward_pre_hook(
        lambda module, inputs: found.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
    )
    return found


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    "method",
    [
        Occlusion(window=16),
        RISE(n_samples=4),
        KernelSHAP(grid_size=3, n_samples=10),
        LIME(grid_size=3, n_samples=10),
        Sobol(grid_size=2, n_samples=2),
        HSIC(grid_size=2, n_samples=4),
        ScoreCAM(channels=4),
        IntegratedGradients(steps=2),
    ],
    ids=lambda method: type(method).__name__,
)
def test_copies_of_images_reach_the_network_with_channels_last(method, last):
    model = tiny.resnet()
    images = tiny.images(2, model.preprocessing.size)
    method.attribute(model, images, 1)  # which looks at the model
    orders = orders_of(model)
    method.attribute(model, images.contiguous(memory_format=torch.channels_last) if last else images, 1)
    assert orders
    assert all(orders)


@pytest.mark.parametrize("metric", [Insertion(grid_size=4, steps=2), Deletion(grid_size=4, steps=2), SensitivityN()])
def test_what_metrics_change_in_images_does_too(metric):
    model = tiny.resnet()
    images = tiny.images(2, model.preprocessing.size)
    given = {"model": model, "images": images, "targets": torch.tensor([1, 2]), "maps": torch.rand(2, 8, 8)}
    metric.update(**given)  # which looks at the model
    orders = orders_of(model)
    metric.update(**given)
    assert orders
    assert all(orders)


def test_outside_the_network_gets_what_it_is_given():
    model = tiny.resnet()
    orders = orders_of(model)
    images = tiny.images(2, model.preprocessing.size)
    model(images)
    with frozen(model):
        model(images)
    assert orders == [False, False]  # nobody has looked at it yet
    model.ordered(images)  # which does
    model(images)
    with frozen(model):
        model(images)
    model(images)
    assert orders[-3:] == [False, True, False]
