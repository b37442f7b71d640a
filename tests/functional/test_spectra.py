"""Magnitude spectra at other sizes: power laws stay what they are, and what is bright does not leak."""

import numpy as np
import pytest
import torch

from lit_coiba.functional import (
    frequencies,
    from_radial_profile,
    radial_frequencies,
    radial_profile,
    resized_spectrum,
    symmetrized,
)


def test_frequencies_are_those_of_the_transform():
    rows, columns = frequencies(6, 9)
    assert np.allclose(rows, np.abs(np.fft.fftfreq(6)))
    assert np.allclose(columns, np.fft.rfftfreq(9))
    assert radial_frequencies(6, 9)[3, 2] == pytest.approx(np.hypot(0.5, 2 / 9))


@pytest.mark.parametrize("size", [(64, 64), (65, 49), (48, 33), (32, 200), (256, 256)])
def test_a_power_law_of_both_kinds_stays_one(size):
    side = 128
    wanted = radial_frequencies(*size).clamp(1 / side, 0.5) ** -1.5
    profile = (torch.arange(1, side // 2 + 1).double() / side) ** -1.5
    found = from_radial_profile(profile[None], *size)[0]
    assert found[0, 0] == 0
    outside = radial_frequencies(*size) > 0
    assert torch.allclose(found[outside], wanted[outside], rtol=1e-9)
    full = radial_frequencies(side, side).clamp_min(1e-3) ** -1.5
    full[0, 0] = 1e9  # how bright the images are
    resized = resized_spectrum(full[None], *size)[0]
    plain = radial_frequencies(*size) ** -1.5
    inside = (radial_frequencies(*size) > 4 / side) & (radial_frequencies(*size) < 0.5)
    assert (resized[inside] / plain[inside]).log().abs().max() < 0.06  # between the points that are known


def test_its_own_size_is_left_alone():
    magnitude = symmetrized(torch.rand(3, 16, 9, generator=torch.Generator().manual_seed(0)).double() + 0.1, 16)
    magnitude[:, 1:8] = magnitude[:, 9:].flip(1)  # the same at ky and -ky in all columns
    magnitude[:, 0, 0] = 7.0
    found = resized_spectrum(magnitude, 16, 16)
    magnitude[:, 0, 0] = 0
    assert torch.allclose(found, magnitude)


def test_the_magnitude_at_zero_does_not_leak():
    one, other = (torch.full((1, 32, 17), 2.0) for _ in range(2))
    other[:, 0, 0] = 1e6
    for size in ((16, 16), (64, 64), (100, 70)):
        assert torch.equal(resized_spectrum(one, *size), resized_spectrum(other, *size))
        assert torch.allclose(resized_spectrum(one, *size).flatten()[1:], torch.tensor(2.0))


def test_a_resized_spectrum_is_one_of_a_real_image():
    magnitude = torch.rand(3, 32, 17, generator=torch.Generator().manual_seed(0)) + 0.1
    for size in ((24, 24), (31, 45)):
        found = resized_spectrum(magnitude, *size)
        assert torch.allclose(symmetrized(found, size[1]), found)


def test_a_profile_is_the_geometric_mean_over_rings():
    side = 16
    magnitude = torch.rand(2, side, side // 2 + 1, generator=torch.Generator().manual_seed(0)).double() + 0.1
    full = np.zeros((2, side, side))  # all frequencies, as fft2 has them
    for ky in range(side):
        for kx in range(side):
            half = (ky, kx) if kx <= side // 2 else (-ky % side, side - kx)
            full[:, ky, kx] = magnitude[:, half[0], half[1]]
    fy, fx = np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side), indexing="ij")
    ring = np.rint(np.hypot(fy, fx) * side)
    wanted = np.stack([np.exp(np.log(full[:, ring == k]).mean(1)) for k in range(1, side // 2 + 1)], 1)
    assert np.allclose(radial_profile(magnitude), wanted)
