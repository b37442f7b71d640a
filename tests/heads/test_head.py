import json

import pytest
import torch

from lit_coiba.core.explanation import HeadExplanation
from lit_coiba.heads import BRNPAHead, Head, InfoDisentHead, LinearHead
from lit_coiba.heads.head import Terms
from tests._testers.heads import CHANNELS, CLASSES, HeadTester, features

every_head = pytest.mark.parametrize("head", [LinearHead, InfoDisentHead, BRNPAHead])


class Brightest(Head):
    """A head of someone else: one unit, the brightest position, whose features a linear layer reads."""

    def __init__(self, in_channels, num_classes, scale=1.0):
        super().__init__(in_channels, num_classes)
        self.scale = scale
        self.weight = torch.nn.Parameter(torch.randn(num_classes, in_channels))

    units = 1

    def forward(self, features):
        every = torch.arange(self.num_classes)
        return torch.cat([self._contributions(self._checked(features), c.expand(len(features))) for c in every], 1)

    def activations(self, features):
        return self._checked(features).float().to(self.weight.dtype).square().sum(1, keepdim=True)

    def _contributions(self, features, classes):
        bright = self.activations(features).flatten(1).argmax(1)
        found = features.flatten(2)[torch.arange(len(features)), :, bright].to(self.weight)
        return self.scale * (self.weight[classes] * found).sum(1, keepdim=True)

    def _terms(self, features, classes):
        shown = self.activations(features)
        contributions = self._contributions(features, classes)
        peaks = torch.nn.functional.one_hot(shown.flatten(1).argmax(1), shown[0].numel())
        return Terms(contributions, (contributions * peaks).view_as(shown[:, 0]), shown)

    def _bias(self):
        return None


class TestBrightest(HeadTester):
    """What a head inherits is enough for all that a head owes."""

    head = Brightest

    def oracle(self, head, values, target):
        pixels = values.flatten(1).T.tolist()
        bright = max(range(len(pixels)), key=lambda j: sum(v * v for v in pixels[j]))
        contribution = sum(w * v for w, v in zip(head.weight[target].tolist(), pixels[bright]))
        map = torch.zeros(len(pixels), dtype=torch.float64)
        map[bright] = contribution
        return [contribution], map.view(values.shape[1:])


def test_a_head_without_its_parts_cannot_be_built():
    with pytest.raises(TypeError, match="abstract"):
        Head(CHANNELS, CLASSES)


def test_of_equal_contributions_the_first_unit_comes_first():
    head = LinearHead(4, 1, bias=False)
    torch.nn.init.ones_(head.classifier.weight)
    values = torch.tensor([2.0, -3.0, 3.0, 2.0]).view(1, 4, 1, 1)
    assert head.explain(values, 0).units.tolist() == [[1, 2, 0, 3]]


def test_by_default_nothing_is_constrained_or_annealed():
    head = LinearHead(CHANNELS, CLASSES)
    before = {name: value.clone() for name, value in head.state_dict().items()}
    attributes = json.dumps(head.arguments())
    head.constrain()
    head.anneal(0.5)
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())
    assert json.dumps(head.arguments()) == attributes


@every_head
def test_wide_features_are_not_narrowed_by_a_narrow_head(head):
    torch.manual_seed(0)
    narrow = head(CHANNELS, CLASSES).eval()
    wide = head(**narrow.arguments()).double().eval()
    wide.load_state_dict(narrow.state_dict())
    values = features(3)
    assert narrow(values).dtype == torch.float64
    torch.testing.assert_close(narrow(values), wide(values), rtol=1e-6, atol=1e-6)
    assert narrow.contributions(values, 1).dtype == torch.float64


@every_head
def test_a_head_in_half_precision_sums_in_single(head):
    half, values = head(CHANNELS, CLASSES).eval().bfloat16(), features(3)
    for given in (values.bfloat16(), values.float()):
        assert half(given).dtype == torch.float32
        explanation = half.explain(given, 2)
        assert explanation.contributions.dtype == torch.float32
        torch.testing.assert_close(
            explanation.contributions.sum(1) + half.bias_of(torch.tensor([2])), half(given)[:, 2]
        )


@every_head
def test_an_explanation_serves_inside_inference_mode(head):
    explained = head(CHANNELS, CLASSES).double().eval()
    with torch.inference_mode():
        found = explained.explain(features(2), torch.tensor([0, 1]))
    assert isinstance(found, HeadExplanation)
    assert all(torch.equal(a, b) for a, b in zip(found, explained.explain(features(2), torch.tensor([0, 1]))))


@every_head
def test_any_grid_will_do(head):
    explained = head(CHANNELS, CLASSES).double().eval()
    for size in ((1, 1), (7, 2), (14, 14)):
        assert explained.explain(features(2, size=size), 0).maps.shape == (2, *size)
