from typing import ClassVar

import torch
from torch import nn

from lit_coiba.heads import LinearHead
from tests._testers.heads import CHANNELS, CLASSES, HeadTester, features


class TestLinearHead(HeadTester):
    head = LinearHead

    def oracle(self, head, values, target):
        weights = head.classifier.weight[target].tolist()
        rows = values.tolist()
        cells = values.shape[1] * values.shape[2]
        contributions = [w * sum(map(sum, plane)) / cells for w, plane in zip(weights, rows)]
        map_ = torch.zeros(values.shape[1:], dtype=torch.float64)
        for weight, plane in zip(weights, values):
            map_ += weight * plane / cells
        return contributions, map_


class TestWithoutBias(TestLinearHead):
    arguments: ClassVar = {"bias": False}


def test_it_is_average_pooling_and_a_linear_layer():
    head = TestLinearHead().build()
    plain = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, CLASSES)).double()
    plain[2].load_state_dict(head.classifier.state_dict())
    torch.testing.assert_close(head(features(3)), plain(features(3)), rtol=1e-12, atol=1e-12)


def test_a_unit_shows_where_it_has_the_sign_of_its_mean():
    head = LinearHead(2, 1, bias=False).double()
    torch.nn.init.constant_(head.classifier.weight, -1.0)
    explanation = head.explain(torch.tensor([[[[3.0, -1.0]], [[1.0, -4.0]]]]), 0)
    assert explanation.units.tolist() == [[1, 0]]
    assert explanation.unit_maps.tolist() == [[[[0, 4]], [[3, 0]]]]


def test_a_bias_is_what_contributions_leave():
    head, classes = TestLinearHead().build(), torch.tensor([2, 0])
    assert torch.equal(head.bias_of(classes), head.classifier.bias[[2, 0]])
    assert TestWithoutBias().build().bias_of(classes).tolist() == [0, 0]
