from typing import ClassVar

import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.metrics import TopOverlap
from tests._testers.alignment import AlignmentTester, resized, smoothed
from tests._testers.metrics import SIZE, uniform


def highest(values, share):
    """Numbers of the highest pixels, none of which are equal."""
    count = round(share * values.size)
    return set(sorted(range(values.size), key=lambda place: -values.ravel()[place])[:count])


def sets(map, people, share=0.1):
    return highest(resized(map[0].numpy(), SIZE), share), highest(smoothed(people[0].numpy()), share)


def dice(map, people, share=0.1):
    one, other = sets(map, people, share)
    return 2 * len(one & other) / (len(one) + len(other))


class TestDice(AlignmentTester):
    metric = TopOverlap
    oracle = staticmethod(dice)


class TestUnion(AlignmentTester):
    metric = TopOverlap
    arguments: ClassVar = {"measured": "iou", "share": 0.3}

    def oracle(self, map, people):
        one, other = sets(map, people, 0.3)
        return len(one & other) / len(one | other)


def test_a_map_that_is_the_same_everywhere_scores_chance():
    people = uniform(2, 20, 20)
    found = TopOverlap(smooth=False).score(torch.ones(2, 4, 4), people)
    torch.testing.assert_close(found, torch.full_like(found, 0.1))


def test_of_equal_pixels_each_counts_in_part():
    people = torch.tensor([[[4.0, 3.0, 2.0, 1.0]]])
    maps = torch.tensor([[[5.0, 1.0, 1.0, 1.0]]])  # one surely, and a third of each of the others
    assert TopOverlap(share=0.5, smooth=False).score(maps, people).item() == pytest.approx((1 + 1 / 3) / 2)
    assert TopOverlap("iou", 0.5, smooth=False).score(maps, people).item() == pytest.approx((4 / 3) / (8 / 3))


def test_independent_maps_overlap_by_chance():
    metric = TopOverlap(smooth=False)
    metric.update(uniform(400, 10, 10), uniform(400, 10, 10, seed=1))
    assert abs(metric.compute() - 0.1) < 4 * (0.1 * 0.9 / 10 / 400) ** 0.5


def test_arguments_out_of_range_are_refused():
    with pytest.raises(InputError, match="share is 0"):
        TopOverlap(share=0)
    with pytest.raises(InputError, match="measured is"):
        TopOverlap("jaccard")
