from typing import ClassVar

import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.functional import resize_map
from lit_coiba.metrics import MaskLocalisation
from tests._testers.metrics import SIZE, LocalisationTester, uniform


def sort_all_pixels(map, region, share=0.1):
    pixels = list(zip(resize_map(map, SIZE).flatten().tolist(), region.flatten().tolist()))
    highest = sorted(pixels, key=lambda pixel: -pixel[0])[: round(share * len(pixels))]
    return sum(inside for _, inside in highest) / len(highest)


class TestMaskLocalisation(LocalisationTester):
    metric = MaskLocalisation
    oracle = staticmethod(sort_all_pixels)


class TestMore(LocalisationTester):
    metric = MaskLocalisation
    arguments: ClassVar = {"share": 0.2}

    def oracle(self, map, region):
        return sort_all_pixels(map, region, 0.2)


def test_8_the_map_of_an_object_of_a_tenth_or_more_scores_one():
    for rows in (1, 4):
        region = torch.zeros(1, 10, 10, dtype=torch.bool)
        region[0, :rows] = True
        assert MaskLocalisation().score(region.double(), region).item() == 1
    small = torch.zeros(1, 10, 10, dtype=torch.bool)
    small[0, 0, :5] = True
    map = small.double() + torch.arange(100).view(1, 10, 10) / 200  # the 5 others of the 10 highest are at the end
    assert MaskLocalisation().score(map, small).item() == 0.5


def test_of_equal_pixels_each_counts_in_part():
    regions = torch.tensor([[[True, True, False, False]], [[False, False, False, True]]])
    assert MaskLocalisation(0.5).score(torch.zeros(2, 1, 4), regions).tolist() == [0.5, 0.25]


def test_random_maps_score_the_area_share():
    regions = torch.zeros(400, 10, 10, dtype=torch.bool)
    regions[:, :5, :4] = True
    metric = MaskLocalisation()
    metric.update(uniform(400, 10, 10), regions)
    assert abs(metric.compute() - 0.2) < 4 * (0.2 * 0.8 / 10 / 400) ** 0.5


@pytest.mark.parametrize("share", [0, 1.5])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(InputError, match="share is"):
        MaskLocalisation(share)
