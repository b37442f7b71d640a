import math

import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.functional import resize_map
from lit_coiba.metrics import BoxLocalisation, RelevanceRank
from tests._testers.metrics import SIZE, LocalisationTester, uniform


def sort_all_pixels(map, region):
    pixels = list(zip(resize_map(map, SIZE).flatten().tolist(), region.flatten().tolist()))
    count = sum(inside for _, inside in pixels)
    if count >= 0.33 * len(pixels):
        return math.nan
    highest = sorted(pixels, key=lambda pixel: -pixel[0])[:count]
    return sum(inside for _, inside in highest) / count


class TestBoxLocalisation(LocalisationTester):
    metric = BoxLocalisation
    oracle = staticmethod(sort_all_pixels)

    def inputs(self, count):
        """Boxes of 16 of the 54 pixels."""
        boxes = torch.zeros(count, *SIZE, dtype=torch.bool)
        for k in range(count):
            boxes[k, k % 3 : k % 3 + 4, k % 5 : k % 5 + 4] = True
        return [uniform(count, 3, 4) - 0.3, boxes]


def test_a_large_box_has_no_score_and_is_counted():
    boxes = torch.zeros(3, 10, 10, dtype=torch.bool)
    boxes[0, :5, :6], boxes[1, :4, :8], boxes[2, :5, :7] = True, True, True  # .30, .32, .35 of the area
    maps, metric = uniform(3, 10, 10), BoxLocalisation()
    metric.update(maps, boxes)
    assert (metric.count.item(), metric.undefined.item()) == (2, 1)
    assert metric.score(maps, boxes)[2].isnan()
    assert torch.equal(metric.score(maps, boxes)[:2], RelevanceRank().score(maps, boxes)[:2])
    assert torch.equal(BoxLocalisation(max_area=0.36).score(maps, boxes), RelevanceRank().score(maps, boxes))


@pytest.mark.parametrize("area", [0, 1.5])
def test_a_share_that_is_none_is_refused(area):
    with pytest.raises(InputError, match="max_area is"):
        BoxLocalisation(area)
