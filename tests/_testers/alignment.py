"""What metrics of alignment owe, and people's maps smoothed by SciPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from scipy.ndimage import correlate, map_coordinates

from tests._testers.metrics import SIZE, MetricTester, uniform


def resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear, corners not aligned, the border repeated."""
    places = [(np.arange(new) + 0.5) * old / new - 0.5 for old, new in zip(values.shape, size)]
    return map_coordinates(values, np.meshgrid(*places, indexing="ij"), order=1, mode="nearest")


def smoothed(values: np.ndarray) -> np.ndarray:
    """To 64 x 64, an 11-tap Gaussian of sigma 10 with zeros outside, and back."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / 200)
    return resized(correlate(resized(values, (64, 64)), window / window.sum(), mode="constant"), values.shape)


class AlignmentTester(MetricTester):
    """Maps coarser than people's, of which some are unknown."""

    spoilt = math.nan

    def inputs(self, count: int) -> list[Any]:
        return [uniform(count, 3, 4) - 0.3, uniform(count, *SIZE, seed=1).square()]

    def test_people_who_say_nothing_leave_it_undefined(self):
        maps, people = self.inputs(4)
        people[0], people[1], people[2] = 0, 0.7, math.nan
        metric = self.build()
        metric.update(maps, people)
        assert metric.score(maps, people).isnan().tolist() == [True, True, True, False]
        assert (metric.count.item(), metric.undefined.item()) == (1, 3)

    def test_a_map_that_is_not_finite_has_no_score(self):
        maps, people = self.inputs(3)
        maps[0, 1, 1], maps[1, 0, 0] = math.nan, math.inf
        assert self.build().score(maps, people).isnan().tolist() == [True, True, False]

    def test_the_scale_of_people_does_not_matter(self):
        maps, people = self.inputs(5)
        torch.testing.assert_close(self.build().score(maps, 7 * people), self.build().score(maps, people))

    def test_people_beat_chance(self):
        people = self.inputs(8)[1]
        best, chance = self.build(smooth=False), self.build(smooth=False)
        best.update(people, people)
        chance.update(uniform(8, *SIZE, seed=5), people)
        assert abs(best.compute() - 1) < 1e-12
        assert chance.compute() < 0.6
