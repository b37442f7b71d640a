import numpy as np
import pytest
import torch

from lit_coiba.functional import resize_map
from lit_coiba.functional.ground_truth import precision
from lit_coiba.metrics import Precision
from tests._testers.metrics import SIZE, LocalisationTester, uniform


def largest_magnitudes(map, region):
    """The n largest magnitudes of one sample without ties, by sorting."""
    size, inside = resize_map(map, SIZE)[0].abs().flatten().numpy(), region[0].flatten().numpy()
    chosen = np.argsort(-size)[: inside.sum()]
    return float(inside[chosen].mean())


class TestPrecision(LocalisationTester):
    metric = Precision
    oracle = staticmethod(largest_magnitudes)


class TestX2:
    """Spec of the metrics in distribution, check X2: the mask as a map scores 1, random maps k/N."""

    def test_the_mask_scores_one(self):
        regions = uniform(20, 12, 10) < 0.2
        assert (Precision().score(regions.double(), regions) == 1).all()
        assert (Precision().score(-regions.double(), regions) == 1).all()  # signs do not count

    def test_random_maps_score_the_share_of_the_area(self):
        regions = uniform(400, 12, 10) < 0.2
        scores = Precision().score(uniform(400, 12, 10, seed=1), regions)
        share = regions.double().mean()
        assert abs(scores.mean() - share) < 3 * scores.std() / 20

    def test_a_constant_map_scores_the_share_of_the_area(self):
        regions = uniform(4, 12, 10) < 0.2
        torch.testing.assert_close(precision(torch.ones(4, 12, 10).double(), regions), regions.double().mean((1, 2)))


def test_a_map_that_is_zero_has_no_score():
    regions = uniform(2, 6, 9) < 0.4
    maps = torch.stack([torch.zeros(6, 9), torch.full((6, 9), 0.1)])
    assert Precision().score(maps, regions).isnan().tolist() == [True, False]


def test_a_case_by_hand():
    maps = torch.tensor([[[-4.0, 3.0], [2.0, 1.0]]])
    regions = torch.tensor([[[True, False], [True, False]]])
    assert Precision().score(maps, regions).item() == pytest.approx(0.5)
