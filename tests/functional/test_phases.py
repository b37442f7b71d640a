"""Which half spectra real images have: magnitudes survive ``irfft2`` only where phases are tied."""

import math

import pytest
import torch

from lit_coiba.functional import doubled_columns, free_phases, noise, symmetrized, tied_phases

SIZES = [(64, 64), (65, 64), (64, 65), (63, 65), (16, 40)]


def spectrum(height, width):
    """Positive magnitudes over four orders, not symmetric."""
    return (2 * noise(1, 0, 0, (3, height, width // 2 + 1)).double()).exp()


def magnitudes_after(magnitude, phases, size):
    return torch.fft.rfft2(torch.fft.irfft2(torch.polar(magnitude, phases), s=size)).abs()


@pytest.mark.parametrize("size", SIZES)
def test_tied_phases_hold_every_magnitude(size):
    magnitude = symmetrized(spectrum(*size), size[1])
    phases = 3 * noise(2, 0, 0, magnitude.shape).double()
    pinned = math.pi * (phases > 0).double()
    found = magnitudes_after(magnitude, tied_phases(phases, pinned, size[1]), size)
    relative = (found - magnitude).abs() / magnitude
    assert relative[magnitude > 0].max() < 2e-10
    assert found[:, 0, 0].max() < 1e-9 * magnitude.max()


@pytest.mark.parametrize("size", SIZES)
def test_free_phases_hold_them_in_the_interior_columns_only(size):
    """The published code's way, which check 1 has to notice."""
    magnitude = spectrum(*size)
    phases = 3 * noise(2, 0, 0, magnitude.shape).double()
    relative = (magnitudes_after(magnitude, phases, size) - magnitude).abs() / magnitude
    doubled = doubled_columns(size[1])
    interior = [column for column in range(magnitude.shape[-1]) if column not in doubled]
    assert relative[..., interior].max() < 1e-9
    assert all(relative[:, 1:, column].mean() > 0.1 for column in doubled)


@pytest.mark.parametrize("size", SIZES)
def test_the_free_phases_are_as_many_as_a_real_image_has(size):
    """Pixels less the mean are two numbers for each free frequency, and one where a frequency is its own opposite."""
    height, width = size
    own_opposite = (1 + (height % 2 == 0)) * len(doubled_columns(width))
    assert 2 * int(free_phases(height, width).sum()) + own_opposite == height * width


@pytest.mark.parametrize("size", SIZES)
def test_only_free_phases_move_the_image(size):
    magnitude = symmetrized(spectrum(*size), size[1])
    phases = noise(3, 0, 0, magnitude.shape).double().requires_grad_()
    pinned = torch.zeros_like(magnitude)
    image = torch.fft.irfft2(torch.polar(magnitude, tied_phases(phases, pinned, size[1])), s=size)
    (image * noise(4, 0, 0, image.shape)).sum().backward()
    free = free_phases(*size)
    assert (phases.grad[:, ~free] == 0).all()
    assert (phases.grad[:, free] != 0).all()


def test_symmetrizing_twice_is_once():
    once = symmetrized(spectrum(8, 6), 6)
    assert torch.equal(symmetrized(once, 6), once)
    assert torch.equal(once[..., 1:3], spectrum(8, 6)[..., 1:3])
