from typing import ClassVar

import pytest
import torch
from scipy.stats import spearmanr

from lit_coiba.core.errors import InputError
from lit_coiba.core.targets import resolve
from lit_coiba.metrics import HumanAlignment, ScoredBatch
from tests._testers.alignment import AlignmentTester, resized, smoothed
from tests._testers.metrics import SIZE, uniform


def correlation(map, people, smooth=True):
    people = people[0].numpy()
    shown = smoothed(people) if smooth else people
    return spearmanr(resized(map[0].numpy(), SIZE).ravel(), shown.ravel()).statistic


class TestHumanAlignment(AlignmentTester):
    metric = HumanAlignment
    oracle = staticmethod(correlation)


class TestUnsmoothed(AlignmentTester):
    metric = HumanAlignment
    arguments: ClassVar = {"smooth": False}

    def oracle(self, map, people):
        return correlation(map, people, smooth=False)


class TestOverACeiling(AlignmentTester):
    metric = HumanAlignment
    arguments: ClassVar = {"ceiling": 0.65753}

    def oracle(self, map, people):
        return correlation(map, people) / 0.65753

    test_people_beat_chance = None  # their own map exceeds the ceiling


def test_6_any_monotone_transform_scores_one_and_its_reverse_minus_one():
    people = uniform(3, 40, 30)
    metric = HumanAlignment(smooth=False)
    for transform in (torch.exp, lambda map: map**3 - 5, lambda map: (map - 0.5).sign() * (map - 0.5).abs().sqrt()):
        assert metric.score(transform(people), people).tolist() == pytest.approx([1, 1, 1], abs=1e-12)
        assert metric.score(-transform(people), people).tolist() == pytest.approx([-1, -1, -1], abs=1e-12)


def test_6_random_maps_of_224_pixels_are_not_correlated():
    found = HumanAlignment(smooth=False).score(uniform(3, 224, 224), uniform(3, 224, 224, seed=1))
    assert (found.abs() < 0.02).all()


def test_6_a_map_that_is_the_same_everywhere_scores_zero_and_is_counted():
    maps, people = uniform(4, 5, 5), uniform(4, 10, 10, seed=1)
    maps[1], maps[2] = 0.1, 3.5
    people[2] = torch.nan  # unknown: undefined, whatever the map
    metric = HumanAlignment()
    metric.update(maps, people)
    metric.update(maps=maps[:2], importances=people[:2])
    scores = metric.score(maps, people)
    assert scores[1] == 0
    assert scores.isnan().tolist() == [False, False, True, False]
    assert (metric.count, metric.undefined, metric.constants) == (5, 1, 2)
    images = torch.zeros(4, 3, 10, 10)
    rows = resolve(torch.zeros(4, dtype=torch.long), images, 2, lambda: torch.zeros(4, 2))
    kept = metric.details(ScoredBatch(None, images, rows, maps, tuple("abcd"), importances=people))
    assert torch.equal(kept[""].nan_to_num(9), scores.nan_to_num(9))
    assert kept["/constant"].tolist() == [0, 1, 0, 0]


def test_the_mean_over_the_published_ceiling_is_the_published_score():
    maps, people = uniform(20, 7, 7), uniform(20, 20, 20, seed=1)
    plain, over = HumanAlignment(), HumanAlignment(ceiling=0.65753)
    for metric in (plain, over):
        metric.update(maps, people)
    assert over.compute().item() == pytest.approx(plain.compute().item() / 0.65753, rel=1e-12)


@pytest.mark.parametrize("ceiling", [0, -0.5])
def test_a_ceiling_that_is_none_is_refused(ceiling):
    with pytest.raises(InputError, match="ceiling is"):
        HumanAlignment(ceiling)


def test_people_s_maps_of_another_kind_are_refused():
    with pytest.raises(InputError, match=r"importances are torch.bool of shape \(2, 3, 3\): give maps"):
        HumanAlignment().score(uniform(2, 3, 3), torch.zeros(2, 3, 3, dtype=torch.bool))
    with pytest.raises(InputError, match="give one map"):
        HumanAlignment().score(uniform(3, 3, 3), uniform(2, 3, 3))
