"""Similarity of maps against scikit-image, and distances by hand."""

import math

import pytest
import torch
from skimage.metrics import structural_similarity

from lit_coiba.functional.histogram import histogram_entropy
from lit_coiba.functional.similarity import by_largest, map_distance, ssim, stretched
from lit_coiba.functional.stability import map_change


def maps(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("size", [(7, 7), (12, 9), (4, 6), (3, 3)])
def test_ssim_is_that_of_scikit_image(size):
    first, second = maps(5, *size), maps(5, *size, seed=1)
    window = min(7, *size) - 1 + min(7, *size) % 2  # odd
    theirs = [
        structural_similarity(a, b, win_size=window, data_range=1.0) for a, b in zip(first.numpy(), second.numpy())
    ]
    assert ssim(first, second).tolist() == pytest.approx(theirs, abs=1e-10)


@pytest.mark.parametrize("distance", ["sqrt", "linear", "l1", "l2", "ssim"])
def test_a_map_is_at_distance_zero_from_itself_and_constant_maps_have_none(distance):
    first = maps(4, 5, 8)
    first[3] = 0.25
    found = map_distance(first, first.clone(), distance)
    assert found[:3].tolist() == [0, 0, 0]
    assert math.isnan(found[3])
    apart = map_distance(maps(200, 5, 8), maps(200, 5, 8, seed=1), distance)
    assert 0 < apart.min() <= apart.max() <= 1


def test_distances_by_hand():
    first, second = torch.tensor([[[0.0, 1.0, 2.0]]]), torch.tensor([[[0.0, 10.0, 5.0]]])
    assert map_distance(first, second, "linear").item() == pytest.approx(0.5)
    assert map_distance(first, second, "sqrt").item() == pytest.approx(0.5**0.5)
    assert map_distance(first, second, "l1").item() == pytest.approx((0 + 0.5 + 0.5) / 3)
    assert map_distance(first, second, "l2").item() == pytest.approx((0.5 / 3) ** 0.5)


def test_scales():
    map = torch.tensor([[[-4.0, 2.0]], [[0.0, 0.0]]])
    assert by_largest(map)[0].tolist() == [[1, 0.5]]
    assert stretched(map)[0].tolist() == [[0, 1]]
    assert torch.cat([by_largest(map)[1], stretched(map)[1]]).isnan().all()


class TestHistogramEntropy:
    def test_e1_one_value_per_bin(self):
        map = (torch.arange(100.0).double() / 99).view(1, 10, 10)
        assert histogram_entropy(map).item() == pytest.approx(math.log(100), abs=1e-12)

    def test_e1_a_constant_map_has_none_and_scale_makes_no_difference(self):
        phi = maps(6, 9, 7).float()
        torch.testing.assert_close(histogram_entropy(3 * phi.double() + 2), histogram_entropy(phi.double()))
        assert histogram_entropy(torch.full((1, 3, 3), 2.5)).isnan().all()
        assert histogram_entropy(torch.tensor([[[0.0, math.nan]]])).isnan().all()
        assert histogram_entropy(torch.tensor([[[0.0, math.inf]]])).isnan().all()

    def test_two_and_two(self):
        assert histogram_entropy(torch.tensor([[[0.0, 1.0, 0.0, 1.0]]])).item() == pytest.approx(math.log(2))
        shares = [0.5, 0.25, 0.25]
        expected = -sum(p * math.log(p) for p in shares)
        assert histogram_entropy(torch.tensor([[[0.0, 0.0, 0.5, 1.0]]])).item() == pytest.approx(expected)


def test_a_change_without_a_map_is_not_divided():
    clean, moved = torch.tensor([[[0.0, 0.0]], [[3.0, 4.0]]]), torch.tensor([[[3.0, 4.0]], [[3.0, 3.0]]])
    assert map_change(clean, moved, relative=True).tolist() == [5, 0.2]
    assert map_change(clean, moved).tolist() == [5, 1]
