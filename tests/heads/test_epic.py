"""EPIC: the classifier's own function, told by other channels."""

from typing import ClassVar

import pytest
import torch

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.grid_head import linear_classifier
from lit_coiba.core.errors import InputError
from lit_coiba.functional import pair_purity
from lit_coiba.heads import EPICHead
from tests._testers.heads import CHANNELS, CLASSES, HeadTester, features
from tests.backbones.test_grid_head import AVERAGED


class TestEPICHead(HeadTester):
    head = EPICHead

    def build(self, dtype=torch.float64, **arguments):
        return super().build(dtype, **arguments)

    def oracle(self, head, values, target):
        turn = head.rotate.matrix().tolist()
        inverse = torch.linalg.inv(head.rotate.matrix()).tolist()
        weights = head.weight[target].tolist()
        turned_weights = [sum(w * row[c] for w, row in zip(weights, inverse)) for c in range(CHANNELS)]
        cells = values.shape[1] * values.shape[2]
        turned = [sum(row[d] * values[d] for d in range(CHANNELS)) for row in turn]
        map_ = sum(w * plane for w, plane in zip(turned_weights, turned)) / cells
        return [w * plane.sum().item() / cells for w, plane in zip(turned_weights, turned)], map_

    def test_gradients_are_those_of_differences(self):
        """The logits do not depend on the rotation, and nothing else is trained."""
        head, values = self.build(), features(2).requires_grad_()
        assert torch.autograd.gradcheck(head, values)
        assert [name for name, p in head.named_parameters() if p.requires_grad] == ["rotate.generator"]

    def test_a_hundred_steps_of_adam_lower_the_loss(self):
        """Check 10: of features on axes that a random rotation hides, training raises the mean purity."""
        torch.manual_seed(0)
        hidden = torch.linalg.qr(torch.randn(CHANNELS, CHANNELS)).Q
        axes = torch.arange(120) % CHANNELS
        values = torch.zeros(120, CHANNELS, 2, 2)
        values[torch.arange(120), axes, 0, 1] = 1 + torch.rand(120)
        values = torch.einsum("cd,bdhw->bchw", hidden, values) + 0.02 * torch.randn(120, CHANNELS, 2, 2)
        head = self.head(CHANNELS, CLASSES, **self.arguments)
        optimizer = torch.optim.Adam([head.rotate.generator], lr=1e-2)
        start = None
        for _ in range(100):
            matrix = head.rotate.matrix()
            channels = torch.einsum("cd,bdhw->bchw", matrix, values).sum((-2, -1)).argmax(1)
            purity = pair_purity(values, matrix, channels).mean()
            start = purity.item() if start is None else start
            optimizer.zero_grad()
            (-purity).backward()
            optimizer.step()
        assert purity.item() > start + 0.1

    def test_explaining_ignores_the_mode_and_leaves_everything_alone(self):
        head, values = self.build(), features(3)
        expected, before = head.explain(values, 1), values.clone()
        found = head.train().explain(values.requires_grad_(), 1)
        assert torch.equal(values, before)
        assert head.training
        assert all(parameter.grad is None for parameter in head.parameters())
        assert all(torch.equal(a, b) for a, b in zip(found, expected))


class TestInvertible(TestEPICHead):
    arguments: ClassVar = {"form": "invertible"}


@pytest.mark.parametrize("name", AVERAGED)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_logits_are_the_models_whatever_the_rotation(name, dtype, tolerance):
    """Checks 2 and 3 of the spec: before and after U has moved."""
    torch.manual_seed(0)
    backbone = Backbone(name, num_classes=7, image_size=64, timm_kwargs=AVERAGED[name]).to(dtype).eval()
    images = torch.randn(3, 3, 64, 64, dtype=dtype)
    expected = backbone(images)
    head = EPICHead(backbone.feature_channels, 7)
    head.init_from_linear(*linear_classifier(backbone.model))
    backbone.attach(head.to(dtype))
    for _ in range(2):
        sums = head.contributions(backbone.features(images), 2).sum(1) + head.bias[2]
        torch.testing.assert_close(backbone(images), expected, rtol=tolerance, atol=tolerance / 10)
        torch.testing.assert_close(sums, expected[:, 2], rtol=tolerance, atol=tolerance / 10)
        torch.nn.init.normal_(head.rotate.generator)
    assert (head.rotate.matrix() - torch.eye(head.units)).abs().max() > 0.1


def test_without_a_turn_channels_are_the_features():
    head = EPICHead(CHANNELS, CLASSES).double()
    assert torch.equal(head.activations(features(2)), features(2))


def test_weights_of_another_shape_are_refused():
    with pytest.raises(InputError, match=r"weights have shape \(3, 2\): this head takes"):
        EPICHead(CHANNELS, CLASSES).init_from_linear(torch.zeros(3, 2))
