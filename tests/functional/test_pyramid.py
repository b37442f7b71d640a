"""Check 3 of harmonization: the pyramid."""

import numpy as np
import torch
from scipy.signal import convolve2d

from lit_coiba.functional.pyramid import gaussian_pyramid


def test_sides_are_halved_and_a_constant_stays_in_the_interior():
    levels = gaussian_pyramid(torch.full((2, 224, 224), 3.0, dtype=torch.float64))

    assert [level.shape[1:] for level in levels] == [(side, side) for side in (224, 112, 56, 28, 14)]
    for level in levels:
        assert torch.allclose(level[:, 3:-3, 3:-3], torch.tensor(3.0, dtype=torch.float64))
    assert levels[-1][0, 0, 0] < 2.7  # zeros outside darken the borders


def test_a_level_is_the_binomial_convolution_at_every_second_pixel():
    map = torch.rand(1, 8, 6, dtype=torch.float64)
    row = np.array([1, 4, 6, 4, 1])
    window = np.outer(row, row) / 256
    assert window.sum() == 1

    (_, level) = gaussian_pyramid(map, levels=2)

    # "same" padding of an even side at stride 2 begins one pixel inside the window's reach
    whole = convolve2d(map[0].numpy(), window, mode="same")
    assert np.allclose(level[0], whole[1::2, 1::2])


def test_odd_sides_are_rounded_up():
    assert [tuple(level.shape[1:]) for level in gaussian_pyramid(torch.zeros(1, 7, 5), 4)] == [
        *((7, 5), (4, 3), (2, 2), (1, 1))
    ]
