import pytest
import torch
from torch import nn

from lit_coiba.attribution import InputXGradient, IntegratedGradients
from lit_coiba.core.errors import InputError
from tests._testers import tiny
from tests._testers.analytic import Linear, network
from tests._testers.methods import MethodTester
from tests._testers.model_state import assert_near


class TestInputXGradient(MethodTester):
    method = InputXGradient
    evaluations = (1, 1)


def test_it_is_weight_times_input_on_a_linear_model():
    model, images = Linear(), torch.randn(2, 3, 8, 8, dtype=torch.float64)
    for reduce, expected in (("sum", (model.weight * images).sum(1)), ("mean", (model.weight * images).mean(1))):
        maps = InputXGradient(reduce=reduce).attribute(model, images, 1)
        torch.testing.assert_close(maps, expected, rtol=0, atol=1e-12)


def test_it_equals_integrated_gradients_without_biases():
    model = network(nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5, bias=False))
    images = torch.randn(3, 3, 8, 8, dtype=torch.float64)
    maps = InputXGradient().attribute(model, images, 2)
    assert_near(maps, IntegratedGradients(steps=2).attribute(model, images, 2), 1e-6)  # Captum's nodes are fp32
    torch.testing.assert_close(maps.sum((1, 2)), model(images)[:, 2], rtol=0, atol=1e-12)


def test_probabilities_have_the_slope_of_the_softmax():
    model, images = tiny.resnet().double(), tiny.images(2, (64, 64)).double()
    pixels = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(pixels).softmax(1)[:, 3].sum(), pixels)
    maps = InputXGradient(output="prob").attribute(model, images, 3)
    assert_near(maps, (images * slope).sum(1), 1e-12)
    with pytest.raises(InputError, match="output is 'odds': choose logit, prob"):
        InputXGradient(output="odds")
