from typing import ClassVar

import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.functional import oracle_ceiling, resize_map
from lit_coiba.metrics import GridPointing
from tests._testers.metrics import SIZE, LocalisationTester


def cell_over_grid(map, region, smooth=1):
    values, side = resize_map(map, SIZE)[0].clamp_min(0), smooth // 2
    inside = total = 0.0
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            part = values[max(row - side, 0) : row + side + 1, max(column - side, 0) : column + side + 1]
            mean = float(part.mean())
            total += mean
            inside += mean * bool(region[0, row, column])
    return inside / total


class TestGridPointing(LocalisationTester):
    metric = GridPointing
    oracle = staticmethod(cell_over_grid)


class TestSmooth(LocalisationTester):
    metric = GridPointing
    arguments: ClassVar = {"smooth": 3}

    def oracle(self, map, region):
        return cell_over_grid(map, region, 3)

    def test_a_map_of_the_object_beats_a_random_one(self):
        """Smoothing carries a part of it over the border."""
        maps, regions = self.inputs(8)
        assert (self.build().score(regions.double(), regions) > self.build().score(maps, regions)).all()


def cells(n, side=8):
    found = torch.zeros(n * n, n * side, n * side, dtype=torch.bool)
    for k in range(n * n):
        row, column = divmod(k, n)
        found[k, row * side : (row + 1) * side, column * side : (column + 1) * side] = True
    return found


@pytest.mark.parametrize("n", [2, 3])
def test_g1_a_uniform_map_scores_one_over_the_cells_and_the_oracle_one(n):
    regions, metric = cells(n), GridPointing()
    uniform = metric.score(torch.full((n * n, 5, 7), 0.3), regions)
    torch.testing.assert_close(uniform, torch.full((n * n,), 1 / n**2))
    assert (metric.score(regions.double(), regions) == 1).all()


def test_g1_a_map_without_positive_attribution_has_no_score():
    metric = GridPointing()
    metric.update(torch.stack([-torch.ones(4, 4), torch.zeros(4, 4), torch.ones(4, 4)]), cells(2)[:3])
    assert (metric.count.item(), metric.undefined.item()) == (1, 2)


def test_the_ceiling_is_what_the_cell_scores_as_a_map_of_that_resolution():
    regions = cells(2, 32)
    found = {grid: oracle_ceiling(regions, (grid, grid)) for grid in (2, 4, 8, 64)}
    coarse = regions[:, 16::32, 16::32].float()
    torch.testing.assert_close(found[2], GridPointing().score(coarse, regions))
    assert (found[64] == 1).all()
    assert found[2].mean() < found[4].mean() < found[8].mean() < 1
    assert oracle_ceiling(regions, (3, 5)).max() < 1  # cells that the border cuts


@pytest.mark.parametrize("smooth", [0, 4])
def test_a_square_without_a_middle_is_refused(smooth):
    with pytest.raises(InputError, match="smooth is"):
        GridPointing(smooth)
