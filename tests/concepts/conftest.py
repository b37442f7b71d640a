"""A tiny network and the concepts of one of its classes, which several tests of CRAFT share."""

import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.concepts import CRAFT, NMF
from lit_coiba.core.preprocessing import Preprocessing
from tests._testers import tiny


@pytest.fixture(scope="module")
def relu_net():
    """Convolutions and ReLUs, global average pooling and a linear layer."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(12, 3),
    )  # fmt: skip
    tiny.randomise(module, 0)
    return Backbone.wrap(module, Preprocessing((32, 32), 1.0, "bilinear", (0.5,) * 3, (0.5,) * 3)).eval()


@pytest.fixture(scope="module")
def images():
    return tiny.images(24, (32, 32))


@pytest.fixture(scope="module")
def cls(relu_net, images):
    return int(relu_net(images).argmax(1).mode().values)


@pytest.fixture(scope="module")
def concepts(relu_net, images, cls):
    return CRAFT(NMF(4), layer="3", crop_size=16).fit(relu_net, images, cls)
