"""Counterfactuals of images: a linear network, where one step is exact, and what is refused."""

import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.lipschitz.certificate import Certificate
from lit_coiba.lipschitz.counterfactual import boundary_step, counterfactual
from tests._testers import lipschitz as small

STD = (0.25, 0.25, 0.25)


def linear(outputs=3):
    """Logits that are linear in the pixels, behind a preprocessing with std 0.25."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, outputs)).double()
    rows = torch.randn(outputs, 48, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        model[1].weight.copy_(nn.functional.normalize(rows, dim=1))
    backbone = Backbone.wrap(model, Preprocessing(size=(4, 4), mean=(0.5,) * 3, std=STD), look=False)
    return backbone, torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_the_step_of_a_linear_network_ends_on_the_boundary_as_far_away_as_the_radius():
    backbone, images = linear()
    logits = backbone(images).detach()
    predicted, second = logits.topk(2, 1).indices.T
    moved = counterfactual(backbone, images)
    after, rows = backbone(moved).detach(), torch.arange(5)
    torch.testing.assert_close(after[rows, predicted], after[rows, second])
    length = (backbone.denormalize(moved) - backbone.denormalize(images)).flatten(1).norm(dim=1)
    constants = Certificate.of(backbone).margin_constants(predicted, second)
    torch.testing.assert_close(length, (logits[rows, predicted] - logits[rows, second]) / constants)


def test_a_class_is_chosen_and_a_longer_step_arrives_there():
    backbone, images = linear()
    logits = backbone(images).detach()
    least = logits.argmin(1)
    moved = backbone(counterfactual(backbone, images, least, reach=2.0)).detach()
    rows = torch.arange(5)
    assert (moved[rows, least] > moved[rows, logits.argmax(1)]).all()


def test_one_logit_is_moved_to_zero():
    backbone, images = linear(1)
    left = backbone(counterfactual(backbone, images)).detach()
    torch.testing.assert_close(left, torch.zeros(5, 1, dtype=torch.float64))


def test_the_step_of_a_network_is_its_formula():
    backbone = small.constrained(std=STD)
    images = torch.randn(2, 3, small.SIZE, small.SIZE, generator=torch.Generator().manual_seed(0))
    given = images.clone().requires_grad_()
    logits = backbone(given)
    (first, second) = logits.topk(2, 1).indices.T
    rows = torch.arange(2)
    margin = logits[rows, first] - logits[rows, second]
    (gradient,) = torch.autograd.grad(margin.sum(), given)
    constant = Certificate.of(backbone).margin_constants(first, second).float()
    # In pixels the gradient is 1 / std as large, and a step in pixels is 1 / std as long as model input.
    step = (margin / constant**2).detach().view(-1, 1, 1, 1) * gradient / 0.25**2
    torch.testing.assert_close(counterfactual(backbone, images), images - step)


def test_a_step_leaves_no_gradient_behind():
    points = torch.ones(2, 2)
    with torch.inference_mode():
        moved = boundary_step(lambda x: x.sum(1), points)
    assert not moved.requires_grad


def test_what_has_no_counterfactual_is_refused():
    backbone, images = linear()
    predicted = backbone(images).argmax(1)
    with pytest.raises(InputError, match="for image 0, which is predicted: give another one"):
        counterfactual(backbone, images, predicted)
    with pytest.raises(InputError, match="is not 1-Lipschitz"):
        counterfactual(small.backbone(), torch.zeros(1, 3, small.SIZE, small.SIZE))
