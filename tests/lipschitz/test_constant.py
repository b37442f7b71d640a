"""The constant of a chain against the Jacobian of each layer, and of the whole."""

import copy

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.heads import LinearHead
from lit_coiba.lipschitz import GroupSort2
from lit_coiba.lipschitz.constant import input_factor, layer_constants, layers_of, lipschitz_constant
from tests._testers import lipschitz as small


def jacobian_norm(module, shape):
    """The largest singular value of a layer's Jacobian at a random point."""
    point = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    module = copy.deepcopy(module).double().eval()
    matrix = torch.autograd.functional.jacobian(lambda x: module(x[None]).flatten(), point[0])
    return torch.linalg.matrix_norm(matrix.flatten(1), ord=2).item()


@pytest.mark.parametrize(
    "module",
    [
        nn.AvgPool2d(2),
        nn.AvgPool2d(3, stride=1, padding=1),
        nn.AvgPool2d(3, stride=2, divisor_override=4),
        nn.AdaptiveAvgPool2d(1),
        nn.MaxPool2d(2),
        nn.MaxPool2d(3, 2, 1),
        nn.ReLU(),
        nn.Tanh(),
        nn.Softplus(),
        nn.Dropout(0.5),
        GroupSort2(4),
        nn.Conv2d(4, 5, 3, padding=1),
    ],
    ids=str,
)
def test_no_layer_changes_faster_than_its_constant(module):
    found = lipschitz_constant(module, (8, 8), channels=4)
    exact = jacobian_norm(module, (4, 8, 8))
    assert exact <= found * (1 + 1e-9)
    if isinstance(module, nn.AdaptiveAvgPool2d) or getattr(module, "kernel_size", None) == 2:
        assert found == pytest.approx(exact if isinstance(module, nn.AdaptiveAvgPool2d | nn.AvgPool2d) else 1, rel=1e-9)


def test_the_constant_of_a_network_bounds_its_jacobian():
    model = small.backbone().model
    found = layer_constants(model, (16, 16))
    assert [one.name for one in found] == ["stages.0.conv", "stages.1.conv", "stages.2.conv", "pool", "fc"]
    whole = lipschitz_constant(model, (16, 16))
    assert 0.2 * whole < jacobian_norm(model, (3, 16, 16)) <= whole


def test_overlapping_maxima_reach_their_bound():
    """One pixel in every window that covers it: four outputs follow one input."""
    pool, image = nn.MaxPool2d(3, 2), torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    image[0, 0, 2, 2] = 1
    matrix = torch.autograd.functional.jacobian(lambda x: pool(x).flatten(), image).flatten(1)
    assert lipschitz_constant(pool, (5, 5), channels=1) == 2
    assert torch.linalg.matrix_norm(matrix, ord=2).item() == pytest.approx(2)


def test_sequences_inside_sequences_are_chains():
    made = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), nn.Flatten(), nn.Linear(4 * 36, 5))
    assert [layer.name for layer in layers_of(made, (8, 8))] == ["0.0", "0.1", "1", "2"]
    assert [layer.shape for layer in layers_of(made, (8, 8))][-1] == (144,)


def test_layers_without_a_known_constant_are_refused_by_name():
    head = small.backbone()
    head.attach(LinearHead(16, 4))
    for model, name in (
        (resnet18(num_classes=3), r"the model \(ResNet\)"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), r"of 1 \(BatchNorm2d\)"),
        (nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")), r"of 0 \(Conv2d\)"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU()), r"of 1 \(GELU\)"),
        (nn.Sequential(nn.AvgPool2d(2, ceil_mode=True)), r"of 0 \(AvgPool2d\)"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(2)), r"of 0 \(AdaptiveAvgPool2d\)"),
        (head.model, r"forward_head \(LinearHead\)"),
    ):
        with pytest.raises(InputError, match=rf"the Lipschitz constant of .*{name.removeprefix('of ')} is not known"):
            layer_constants(model, (16, 16))


def test_images_of_another_size_are_refused():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    with pytest.raises(InputError, match=r"layer 1 does not take a tensor of shape \(48,\)"):
        layer_constants(model, (4, 4))


def test_the_factor_of_the_input_is_that_of_the_smallest_std():
    """Check 7 of the specification, for ImageNet: 4.46."""
    assert input_factor(Preprocessing(std=(0.229, 0.224, 0.225))) == pytest.approx(4.464, abs=1e-3)


def test_the_network_is_left_in_its_mode():
    model = small.backbone().model.train()
    layer_constants(model, (16, 16))
    assert all(module.training for module in model.modules())
