"""Certificates: the four radii, the preprocessing, attacks inside the radius, and what is refused."""

import math

import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.lipschitz import Certificate, GroupSort2
from lit_coiba.lipschitz.radius import binary_radius, disjoint_radius, linear_head_radius, orthogonal_radius
from tests._testers import lipschitz as small


def images(count, seed=0, size=small.SIZE):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed)) - 0.5


def test_the_radii_of_the_definition():
    logits = torch.tensor([[0.5, 3.0, 1.0], [2.0, 2.0, -1.0]], dtype=torch.float64)
    torch.testing.assert_close(binary_radius(logits[:, 0] - 1, 2.0), torch.tensor([0.25, 0.5]).double())
    torch.testing.assert_close(disjoint_radius(logits, 2.0), torch.tensor([0.5, 0.0]).double())
    torch.testing.assert_close(orthogonal_radius(logits, 2.0), torch.tensor([math.sqrt(0.5), 0.0]).double())
    weight = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.9]])
    exact = min(2.5 / math.sqrt(2), 2.0 / 0.1) / 2
    torch.testing.assert_close(linear_head_radius(logits, weight, 2.0)[0].item(), exact, rtol=1e-6, atol=0)


def test_the_radius_of_the_rows_is_the_tightest():
    """Rows of norm 1 lie 2 apart at most, orthogonal ones sqrt(2): neither general radius is ever larger."""
    logits = torch.randn(50, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = torch.nn.functional.normalize(torch.randn(5, 8, generator=torch.Generator().manual_seed(1)), dim=1)
    assert (linear_head_radius(logits, rows) >= disjoint_radius(logits) - 1e-6).all()
    torch.testing.assert_close(linear_head_radius(logits, torch.eye(5)), orthogonal_radius(logits))


def test_classes_with_equal_rows_differ_by_their_biases_alone():
    logits, weight = torch.tensor([[2.0, 1.0], [1.0, 1.0]]), torch.ones(2, 3)
    assert linear_head_radius(logits, weight).tolist() == [math.inf, 0.0]


@pytest.mark.parametrize(("head", "count"), [("disjoint", 500), ("orthogonal", 60)])
def test_no_attack_changes_a_decision_inside_its_radius(head, count):
    """Check 3: 200 steps of projected gradient descent against every other class, 500 points."""
    backbone = small.constrained("reshaped", head, size=8)
    pixels = images(count, size=8)
    with torch.no_grad():
        logits = backbone(pixels)
    predicted, others = logits.topk(2, 1).indices.T
    radii = Certificate.of(backbone).radius(logits)

    def margin(x):
        f = backbone(x)
        rows = torch.arange(len(x))
        return f[rows, predicted[: len(x)]] - f[rows, others[: len(x)]]

    assert (small.attacked(margin, pixels, radii) > -1e-5).all()
    assert (small.attacked(margin, pixels[:50], 40 * radii[:50], 50) < -1e-5).any()  # the attack is one


def test_a_certificate_without_the_preprocessing_is_larger_by_its_factor():
    """Check 7: exactly 1 / min(std)."""
    std = (0.25, 0.5, 0.4)
    with_std = small.constrained(std=std, mean=(0.4, 0.5, 0.6))
    plain = small.constrained(std=(1.0, 1.0, 1.0), mean=(0.4, 0.5, 0.6))
    plain.model.load_state_dict(with_std.model.state_dict())
    logits = torch.randn(6, small.CLASSES)
    ratio = Certificate.of(plain).radius(logits) / Certificate.of(with_std).radius(logits)
    torch.testing.assert_close(ratio, torch.full((6,), 4.0))


def test_the_radius_of_a_linear_classifier_is_the_distance_to_its_boundary():
    """Two rows, pixels in [0, 1] behind a std: the boundary is a plane, whose distance is known."""
    std = 0.25
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16, 2)).double()
    with torch.no_grad():
        model[1].weight.copy_(
            nn.functional.normalize(torch.randn(2, 48, generator=torch.Generator().manual_seed(0)), dim=1)
        )
    backbone = Backbone.wrap(model, Preprocessing(size=(4, 4), mean=(0.5,) * 3, std=(std,) * 3))
    pixels = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(1)).double()
    logits = backbone(backbone.normalize(pixels)).detach()
    normal = (model[1].weight[0] - model[1].weight[1]).detach() / std
    distance = (logits[:, 0] - logits[:, 1]).abs() / normal.norm()
    torch.testing.assert_close(Certificate.of(backbone).radius(logits), distance)


def test_one_logit_and_networks_that_do_not_end_in_a_linear_layer():
    certificate = Certificate(0.5, torch.tensor([[0.0, 2.0]]), 4.0)
    torch.testing.assert_close(certificate.radius(torch.tensor([[-3.0]])), torch.tensor([0.75]))
    conv = nn.Conv2d(3, 2, 1, bias=False)
    conv.weight.data.copy_(torch.eye(3)[:2, :, None, None])
    model = nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), GroupSort2(2, images=False))
    found = Certificate.measured(model, Preprocessing(size=(4, 4), std=(1.0, 1.0, 1.0)))
    assert found.weight is None
    torch.testing.assert_close(found.radius(torch.tensor([[0.0, 1.0]])), torch.tensor([4 / math.sqrt(2)]))


def test_a_network_that_is_not_1_lipschitz_is_refused_with_its_largest_layer():
    backbone = small.constrained()
    with torch.no_grad():
        backbone.model.stages[1].conv.weight.mul_(90)
    with pytest.raises(InputError, match=r"lipschitz_cnn is not 1-Lipschitz: its constant is .* stages\.1\.conv"):
        Certificate.of(backbone)


def test_an_unconstrained_model_has_no_certificate():
    with pytest.raises(InputError, match=r"lipschitz_cnn is not 1-Lipschitz.*that LipschitzClassifier has trained"):
        Certificate.of(small.backbone())
    with pytest.raises(InputError, match=r"the Lipschitz constant of the model \(ResNet\) is not known"):
        Certificate.of(Backbone("resnet10t", num_classes=3, image_size=32))
