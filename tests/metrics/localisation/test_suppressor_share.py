import pytest
import torch

from lit_coiba.functional import resize_map
from lit_coiba.metrics import SuppressorShare
from tests._testers.metrics import SIZE, LocalisationTester, uniform


def by_pixels(map, suppressor):
    values, inside = resize_map(map, SIZE)[0].flatten().tolist(), suppressor[0].flatten().tolist()
    positive = [max(value, 0) for value in values]
    return sum(value for value, here in zip(positive, inside) if here) / sum(positive)


class TestSuppressorShare(LocalisationTester):
    metric = SuppressorShare
    oracle = staticmethod(by_pixels)

    def test_a_map_of_the_object_beats_a_random_one(self):
        """All on the suppressor is worst, beside it best."""
        suppressors = self.inputs(8)[1]
        assert (self.build().score(suppressors.double(), suppressors) == 1).all()
        assert (self.build().score((~suppressors).double(), suppressors) == 0).all()
        assert not SuppressorShare.higher_is_better


def test_a_uniform_map_scores_the_share_of_the_area():
    suppressors = uniform(3, *SIZE) < 0.4
    found = SuppressorShare().score(torch.ones(3, 2, 2, dtype=torch.float64), suppressors)
    torch.testing.assert_close(found, suppressors.double().mean((1, 2)))


def test_what_speaks_against_a_class_does_not_count():
    maps = torch.tensor([[[1.0, -9.0, 1.0]], [[-1.0, -1.0, -1.0]]])
    suppressors = torch.tensor([[[False, True, True]], [[False, True, True]]])
    found = SuppressorShare().score(maps, suppressors)
    assert found[0].item() == pytest.approx(0.5)
    assert found[1].isnan()
