"""Check E2 of metrics_in_distribution.md for eMPRT; E1 is a test of `functional.histogram`."""

import numpy as np
import pytest

from lit_coiba.core.errors import InputError
from lit_coiba.metrics import EffectiveModelRandomization
from lit_coiba.metrics.explaining import Explained
from lit_coiba.metrics.randomization.random_layers import RandomLayers
from tests._testers.explaining import ExplainingTester, darkness


def entropy(map):
    counts = np.histogram(map.numpy(), bins=100)[0]
    shares = counts[counts > 0] / counts.sum()
    return -float((shares * np.log(shares)).sum())


def slow(model, images, targets, maps, method, ids):
    explained = Explained(model, images, targets, method)
    before = entropy(explained.clean[0])
    return (entropy(explained.maps(images, RandomLayers(model).everything())[0]) - before) / before


class TestEffectiveModelRandomization(ExplainingTester):
    metric = EffectiveModelRandomization
    oracle = staticmethod(slow)


def test_e2_a_map_that_no_model_decides_scores_zero():
    model, images, targets, maps, _, ids = TestEffectiveModelRandomization().inputs(3)
    assert EffectiveModelRandomization().score(model, images, targets, maps, darkness, ids).tolist() == [0, 0, 0]


def test_a_constant_map_has_no_score_and_is_counted():
    model, images, targets, maps, _, ids = TestEffectiveModelRandomization().inputs(3)

    def flat(model, images, targets):
        found = darkness(model, images, targets)
        found[1] = 2.0
        return found

    metric = EffectiveModelRandomization()
    metric.update(model, images, targets, maps, flat, ids)
    assert (metric.count.item(), metric.undefined.item()) == (2, 1)
    with pytest.raises(InputError, match="bins is 1"):
        EffectiveModelRandomization(bins=1)
