"""Where a prototype's box lies, against a slow reading of the definition; and the noise of stability."""

import math

import numpy as np
import pytest
import torch

from lit_coiba.functional import part_vectors, sample_noise


def cubic(cells, pixels):
    """Weights of cubic convolution (Keys, 1981, a = -0.75, as OpenCV has it), borders repeated, (pixels, cells)."""
    a, weights = -0.75, np.zeros((pixels, cells))
    for pixel in range(pixels):
        place = (pixel + 0.5) * cells / pixels - 0.5
        for cell in range(math.floor(place) - 1, math.floor(place) + 3):
            d = abs(place - cell)
            near = (a + 2) * d**3 - (a + 3) * d**2 + 1
            weights[pixel, min(max(cell, 0), cells - 1)] += near if d <= 1 else a * (d**3 - 5 * d**2 + 8 * d - 4)
    return weights


def slow(map, points, visible, size, half):
    large = cubic(map.shape[0], size[0]) @ map.double().numpy() @ cubic(map.shape[1], size[1]).T
    row, column = np.unravel_index(large.argmax(), large.shape)
    rows, columns = range(row - half, row + half), range(column - half, column + half)
    return [bool(seen) and int(y) in rows and int(x) in columns for (x, y), seen in zip(points, visible)]


@pytest.mark.parametrize(("size", "half"), [((224, 224), 36), ((64, 96), 10)])
def test_equals_the_slow_reading(size, half):
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(6, 3, 7, 7, generator=generator) ** 8
    xy = torch.rand(6, 40, 2, generator=generator) * torch.tensor([size[1], size[0]])
    visible = torch.rand(6, 40, generator=generator) < 0.8
    found = part_vectors(maps, xy, visible, size, half)
    assert found.shape == (6, 3, 40)
    for b in range(6):
        for t in range(3):
            assert found[b, t].tolist() == slow(maps[b, t], xy[b].tolist(), visible[b].tolist(), size, half)
    assert 0.02 < found.float().mean() < 0.5


def test_the_box_is_72_pixels_wide_and_ends_before_its_last_edge():
    map = torch.zeros(1, 1, 224, 224)  # of the size of the image: nothing is enlarged
    map[0, 0, 100, 80] = 1
    columns = torch.tensor([43.9, 44.0, 115.9, 116.0])
    xy = torch.stack([columns, torch.full((4,), 100.5)], -1)[None]
    seen = torch.ones(1, 4, dtype=torch.bool)
    assert part_vectors(map, xy, seen, (224, 224), 36).tolist() == [[[False, True, True, False]]]
    assert part_vectors(map, xy.flip(-1) + torch.tensor([-20, 20]), seen, (224, 224), 36).tolist() == [
        [[False, True, True, False]]
    ]


def test_of_equal_maxima_the_first_counts_and_the_hidden_are_not_there():
    map, xy = torch.zeros(1, 1, 8, 8), torch.tensor([[[0.5, 0.5], [7.5, 7.5], [1.5, 1.5]]])
    assert part_vectors(map, xy, torch.tensor([[True, True, False]]), (8, 8), 2).tolist() == [[[True, False, False]]]


def test_half_precision_is_no_hindrance():
    map = torch.zeros(1, 1, 4, 4, dtype=torch.bfloat16)
    map[0, 0, 2, 3] = 1
    xy = torch.tensor([[[28.0, 20.0]]])
    assert part_vectors(map, xy, torch.ones(1, 1, dtype=torch.bool), (32, 32), 4).all()


class TestNoise:
    def test_an_image_has_its_own_whatever_its_companions(self):
        together = sample_noise(["a", "b", "c"], (3, 4, 5), 0.2, 0.25, seed=3)
        assert together.shape == (3, 3, 4, 5)
        for name, expected in zip("abc", together):
            assert torch.equal(sample_noise([name], (3, 4, 5), 0.2, 0.25, seed=3)[0], expected)
        assert not torch.equal(together[0], together[1])
        assert not torch.equal(together, sample_noise(["a", "b", "c"], (3, 4, 5), 0.2, 0.25, seed=4))

    def test_extreme_draws_are_clipped(self):
        wild = sample_noise(["a"], (3, 64, 64), 100.0, 0.25)
        assert wild.abs().max() == 0.25
        assert (wild.abs() == 0.25).float().mean() > 0.99

    def test_it_is_as_wide_as_asked_for(self):
        found = sample_noise(["a"], (3, 128, 128), 0.2, 0.25)
        assert (found.abs() == 0.25).float().mean().item() == pytest.approx(0.2113, abs=0.01)  # P(|z| > 1.25)
        assert sample_noise(["a"], (3, 128, 128), 0.2, 9.0).std().item() == pytest.approx(0.2, rel=0.02)

    def test_without_deviation_or_images_there_is_none(self):
        assert not sample_noise(["a"], (3, 8, 8), 0.0, 0.25).any()
        assert sample_noise([], (3, 8, 8), 0.2, 0.25).shape == (0, 3, 8, 8)
