import math
import time

import numpy as np
import pytest
import torch

from lit_coiba.metrics import MSTCompactness
from lit_coiba.metrics.complexity.mst_compactness import tree_and_hull
from tests._testers.metrics import MetricTester, uniform


def prim(points):
    """The tree, point by point."""
    left, length = points[1:], 0.0
    reached = [math.dist(point, points[0]) for point in left]
    while left:
        k = min(range(len(left)), key=reached.__getitem__)
        new, length = left.pop(k), length + reached.pop(k)
        reached = [min(before, math.dist(point, new)) for before, point in zip(reached, left)]
    return length


def hull_area(points):
    """By the shoelace of the monotone chain."""

    def half(ordered):
        line = []
        for x, y in ordered:
            while len(line) > 1:
                (x0, y0), (x1, y1) = line[-2:]
                if (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) > 0:
                    break
                line.pop()
            line.append((x, y))
        return line[:-1]

    corners = half(sorted(points)) + half(sorted(points, reverse=True))
    around = zip(corners, corners[1:] + corners[:1])
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in around)) / 2


def by_definition(map):
    height, width = map.shape[1:]
    values = map[0].abs().flatten().tolist()
    chosen = sorted(range(len(values)), key=lambda k: -values[k])[: round(0.2 * len(values))]  # stable
    points = [divmod(k, width) for k in chosen]
    return 100 * math.hypot(height, width) / math.sqrt(hull_area(points)) * len(points) / prim(points)


class TestMSTCompactness(MetricTester):
    metric = MSTCompactness
    oracle = staticmethod(by_definition)

    def inputs(self, count):
        return [uniform(count, 9, 12) - 0.4]


def test_m1_a_block_of_five_by_five():
    block = torch.zeros(1, 5, 25, dtype=torch.float64)  # 25 of the 125 cells count
    block[0, :, 9:14] = 1
    block[0, 2, 10] = -2
    expected = 100 * math.hypot(5, 25) * 25 / (24 * 4)
    assert MSTCompactness().score(torch.cat([block, 5 * block])).tolist() == pytest.approx([expected] * 2, rel=1e-12)


def test_of_equal_cells_exactly_a_fifth_count_the_first_ones():
    constant = torch.ones(1, 10, 10, dtype=torch.float64)  # the first two rows
    expected = 100 * math.hypot(10, 10) / math.sqrt(9) * 20 / 19
    assert MSTCompactness().score(constant).item() == pytest.approx(expected, rel=1e-12)


def test_no_area_and_no_map_have_no_score():
    maps = torch.zeros(5, 5, 5)
    maps[1, 2, :] = 1  # a line
    maps[2] = torch.eye(5)  # an oblique one
    maps[3] = torch.rand(5, 5, generator=torch.Generator().manual_seed(0))
    maps[4] = math.nan
    metric = MSTCompactness()
    metric.update(maps)
    assert metric.score(maps).isnan().tolist() == [True, True, True, False, True]
    assert MSTCompactness().score(torch.rand(1, 3, 3)).isnan().all()  # two cells


@pytest.mark.parametrize("seed", range(20))
def test_the_tree_is_the_euclidean_one_where_many_cells_lie_on_common_circles(seed):
    """Noise, blocks far apart, stripes and rings: a graph of neighbors falls apart on these."""
    rng = np.random.default_rng(seed)
    cells = rng.random((30, 34)) < (0.05, 0.2, 0.5)[seed % 3]
    if seed % 4 == 1:
        cells[:, :] = False
        cells[:5, :5] = cells[-4:, -6:] = cells[14:16, 20:22] = True
    if seed % 4 == 2:
        cells[1:-1:3] = True
    points = np.argwhere(cells)
    length, area = tree_and_hull(points)
    assert length == pytest.approx(prim([tuple(p) for p in points.tolist()]), rel=1e-9)
    assert area == pytest.approx(hull_area([tuple(p) for p in points.tolist()]), rel=1e-9)


def test_a_map_of_all_pixels_is_no_matter_of_seconds():
    map = torch.rand(1, 224, 224, generator=torch.Generator().manual_seed(0))
    begin = time.perf_counter()
    MSTCompactness().score(map)
    assert time.perf_counter() - begin < 10
