import torch

from lit_coiba.functional import resize_map
from lit_coiba.metrics import RelevanceRank
from tests._testers.metrics import SIZE, LocalisationTester, uniform


def sort_all_pixels(map, region):
    pixels = list(zip(resize_map(map, SIZE).flatten().tolist(), region.flatten().tolist()))
    count = sum(inside for _, inside in pixels)
    highest = sorted(pixels, key=lambda pixel: -pixel[0])[:count]  # Python's sort is stable
    return sum(inside for _, inside in highest) / count


class TestRelevanceRank(LocalisationTester):
    metric = RelevanceRank
    oracle = staticmethod(sort_all_pixels)


def test_by_hand():
    maps = torch.tensor([[[0.9, 0.1, 0.8], [0.7, 0.2, 0.3]]])
    regions = torch.tensor([[[True, True, True], [False, False, False]]])
    assert RelevanceRank().score(maps.double(), regions).item() == 2 / 3  # 0.9 and 0.8 of the three highest


def test_a_constant_map_scores_the_share_of_the_area():
    regions = torch.tensor([[[True, True, False, False]], [[False, False, True, True]]])
    assert RelevanceRank().score(torch.zeros(2, 1, 4), regions).tolist() == [0.5, 0.5]


def test_random_maps_score_the_area_share():
    regions = torch.zeros(400, 10, 10, dtype=torch.bool)
    regions[:, :5, :4] = True
    metric = RelevanceRank()
    metric.update(uniform(400, 10, 10), regions)
    assert abs(metric.compute() - 0.2) < 4 * (0.2 * 0.8 / 20 / 400) ** 0.5
