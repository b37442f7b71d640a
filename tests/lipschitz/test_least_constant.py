"""A lower bound of the constant: never above what is measured, and close to it."""

import gc
import weakref

import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.lipschitz import Certificate, GroupSort2
from lit_coiba.lipschitz.certifying import certificate_of
from lit_coiba.lipschitz.least_constant import least_constant
from tests._testers import lipschitz as small

SIZE = (8, 8)


def network(seed, padding="zeros"):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, padding_mode=padding),
        GroupSort2(6),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2, 1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )


@pytest.mark.parametrize("padding", ["zeros", "circular"])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_below_the_measured_one_and_near_it(seed, padding):
    model = network(seed, padding)
    measured = Certificate.measured(model, Preprocessing(size=SIZE)).constant
    least = least_constant(model, SIZE)
    assert 0.6 * measured < least <= measured * (1 + 1e-5)


def test_a_linear_layer_is_stretched_by_its_largest_singular_value():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 7), nn.Tanh(), nn.Identity())
    largest = torch.linalg.svdvals(model[1].weight.double())[0].item()
    assert 0.97 * largest < least_constant(model, (4, 4)) <= largest * (1 + 1e-6)
    model[1].weight.data.zero_()
    assert least_constant(model, (4, 4)) == 0


def test_what_is_far_from_1_lipschitz_is_refused_without_a_measurement(monkeypatch):
    def of(backbone):
        raise AssertionError("it was measured")

    model = network(0)
    model[0].weight.data *= 100
    backbone = Backbone.wrap(model, Preprocessing(size=SIZE), num_classes=5)
    monkeypatch.setattr(Certificate, "of", of)
    assert certificate_of(backbone) is None
    with pytest.raises(
        InputError, match=r"certify is True, but the model is not 1-Lipschitz: its constant is at least"
    ):
        certificate_of(backbone, True)


def test_a_certificate_is_kept_until_the_weights_change(monkeypatch):
    backbone = small.constrained()
    found = certificate_of(backbone)
    assert certificate_of(backbone) is found
    assert certificate_of(backbone, False) is None
    with torch.no_grad():
        backbone.model.fc.weight[0] *= 0.5
    again = certificate_of(backbone)
    assert again is not found
    torch.testing.assert_close(again.weight[0], found.weight[0] * 0.5)
    with torch.no_grad():
        backbone.model.fc.weight *= 50
    assert certificate_of(backbone) is None


@pytest.mark.parametrize("factor", [1.0, 100.0])
def test_what_is_kept_does_not_keep_the_model(factor):
    backbone = small.constrained()
    with torch.no_grad():
        backbone.model.fc.weight *= factor
    certificate_of(backbone)
    gone = weakref.ref(backbone)
    del backbone
    gc.collect()
    assert gone() is None
