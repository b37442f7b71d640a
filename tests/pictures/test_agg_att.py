"""Samples in bins by their scores, and their mean maps."""

import math

import numpy as np
import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.pictures import agg_att
from lit_coiba.pictures.agg_att import at_top_left, binned, common_scale


def test_bins_are_those_of_the_paper_the_best_first():
    scores = torch.rand(200, generator=torch.Generator().manual_seed(0)).double()
    scores[7] = scores[8]
    maps = scores[:, None, None].expand(-1, 2, 2).float() + 1
    bins = binned(scores, maps)
    assert [one.title for one in bins] == ["0-2%", "2-5%", "5-50%", "50-95%", "95-98%", "98-100%"]
    assert [len(one.rows) for one in bins] == [4, 6, 90, 90, 6, 4]
    rows = torch.cat([one.rows for one in bins])
    assert torch.equal(rows, torch.argsort(-scores, stable=True))
    assert rows.tolist().index(7) + 1 == rows.tolist().index(8)


def test_a_mean_map_is_that_of_shares_and_a_score_that_is_none_leaves_its_sample_out():
    maps = torch.tensor([[[1.0, 3.0]], [[60.0, 20.0]], [[-5.0, 2.0]], [[math.nan, 1.0]]])
    scores = torch.tensor([0.9, 0.8, 0.7, math.nan])
    (one,) = (one for one in binned(scores, maps) if len(one.rows) == 2 and 0 in one.rows)
    assert torch.equal(one.mean, torch.tensor([[0.5, 0.5]]))
    assert sum(len(one.rows) for one in binned(scores, maps)) == 3


def test_cells_are_moved_to_the_top_left():
    regions = torch.zeros(4, 8, 8, dtype=torch.bool)
    for cell in range(4):
        row, column = divmod(cell, 2)
        regions[cell, row * 4 : row * 4 + 4, column * 4 : column * 4 + 4] = True
    own = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    maps = torch.zeros(4, 4, 4)
    for cell in range(4):
        row, column = divmod(cell, 2)
        maps[cell, row * 2 : row * 2 + 2, column * 2 : column * 2 + 2] = own
    expected = torch.zeros(4, 4)
    expected[:2, :2] = own
    assert torch.equal(at_top_left(maps, regions), expected.expand(4, -1, -1))
    odd = at_top_left(torch.rand(4, 3, 3), regions)  # whose middle cell lies in all four
    assert odd.shape == (4, 8, 8)


def test_one_scale_with_half_a_percent_above():
    maps = [torch.arange(1000.0).view(10, 100), torch.zeros(10, 100)]
    scale = common_scale(maps)
    assert scale.low == 0
    assert (maps[0] > scale.high).sum() == 10  # of 2,000
    assert common_scale([torch.eye(100)]).high == 1  # where more are 0


def test_the_picture_shows_mean_maps_and_examples():
    scores = torch.linspace(1, 0, 100)
    maps = torch.zeros(100, 4, 4)
    maps[:2, :2, :2] = 1  # the best
    maps[2:, 2:, 2:] = 1
    images = torch.full((100, 3, 40, 40), 90, dtype=torch.uint8)
    images[:, 0] = 200
    regions = torch.zeros(100, 40, 40, dtype=torch.bool)
    regions[:, :20, :20] = True
    picture = np.asarray(agg_att(scores, maps, images, r"Grad-CAM, $\frac{", regions))
    x, y, step = 104, 96, 158
    bright = picture.astype(int).sum(-1)
    assert bright[y + 30, x + 30] > bright[y + 120, x + 120] + 100
    for column in range(1, 6):
        assert bright[y + 120, x + column * step + 120] > bright[y + 30, x + column * step + 30] + 100
        assert tuple(picture[y + step + 120, x + column * step + 120]) == (200, 90, 90)
    assert np.array_equal(picture, np.asarray(agg_att(scores, maps, images, r"Grad-CAM, $\frac{", regions)))


def test_few_samples_leave_bins_empty():
    images = torch.zeros(3, 3, 16, 16, dtype=torch.uint8)
    assert agg_att(torch.tensor([0.1, math.nan, 0.5]), torch.rand(3, 2, 2), images).size[0] > 900


def test_nothing_to_draw():
    images = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    with pytest.raises(InputError, match="no sample has one"):
        agg_att(torch.full((2,), math.nan), torch.rand(2, 2, 2), images)
    with pytest.raises(InputError, match="scores are 3, maps 2 and images 2"):
        agg_att(torch.rand(3), torch.rand(2, 2, 2), images)
