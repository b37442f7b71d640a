"""Check E2 of metrics_in_distribution.md for sMPRT."""

from typing import ClassVar

import pytest
import torch
from scipy.stats import spearmanr

from lit_coiba.core.errors import InputError
from lit_coiba.functional import keyed_noise
from lit_coiba.metrics import SmoothModelRandomization
from lit_coiba.metrics.explaining import Explained
from lit_coiba.metrics.randomization.random_layers import RandomLayers
from tests._testers.explaining import ExplainingTester, darkness


def slow(model, images, targets, maps, method, ids):
    explained = Explained(model, images, targets, method)
    width = 0.1 * float(images.max() - images.min())
    noisy = [
        images + width * keyed_noise(0, ids, f"smooth randomization {k}", images.shape[1:]).double() for k in range(4)
    ]

    def smoothed(one):
        return torch.stack([explained.maps(copy, one)[0] for copy in noisy]).mean(0).abs().flatten()

    trained = smoothed(None)
    return sum(spearmanr(trained, smoothed(one)).statistic for one in RandomLayers(model, 2)) / 2


class TestSmoothModelRandomization(ExplainingTester):
    metric = SmoothModelRandomization
    arguments: ClassVar = {"draws": 4, "layers": 2}
    oracle = staticmethod(slow)


def test_e2_a_map_that_no_model_decides_is_the_same_at_all_depths():
    model, images, targets, _, _, ids = TestSmoothModelRandomization().inputs(3)
    explained = Explained(model, images, targets, darkness)
    found = SmoothModelRandomization(draws=3).similarities(explained, ids)
    assert found.shape == (3, 3)
    torch.testing.assert_close(found, torch.ones_like(found), rtol=0, atol=1e-9)


def test_what_cannot_be_is_refused():
    for arguments, message in (({"draws": 0}, "draws is"), ({"noise": 0.0}, "noise is"), ({"order": "x"}, "order is")):
        with pytest.raises(InputError, match=message):
            SmoothModelRandomization(**arguments)
