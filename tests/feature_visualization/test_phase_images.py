"""The parametrization: magnitudes are held (checks 1 and 2 of MACO's specification), and phases find their optimum."""

import math

import pytest
import torch

from lit_coiba.feature_visualization.fourier_images import FourierImages
from lit_coiba.feature_visualization.phase_images import PhaseImages
from lit_coiba.feature_visualization.spectrum import parse_spectrum
from lit_coiba.functional import doubled_columns, free_phases, noise, to_rgb

SIZES = [(64, 64), (65, 64), (64, 65), (63, 65), (32, 80)]


def made(size, dtype=torch.float64, count=2, **options):
    magnitude = parse_spectrum("power:-1.3").on_canvas(*size).to(dtype)
    rough = (0.3 * noise(7, 0, 0, magnitude.shape)).exp().to(dtype)  # magnitudes that are not symmetric
    return PhaseImages(magnitude * rough, size[1], count, **options)


def optimized(images, steps=20):
    """After some steps towards a template, with large ones."""
    template = noise(5, 0, 0, images.latent().shape).to(images.variable)
    optimizer = torch.optim.NAdam([images.variable], 1.0)
    for _ in range(steps):
        optimizer.zero_grad()
        (-(images.latent() * template).mean()).backward()
        optimizer.step()
    return images


def relative_errors(images):
    """Of the magnitudes, up to one factor for each image, ``(B, 3, H, W // 2 + 1)``; NaN at the frequency 0."""
    ratio = torch.fft.rfft2(images.latent().detach()).abs() / images.magnitude
    ratio[..., 0, 0] = torch.nan
    middle = ratio.flatten(1).nanmedian(1).values
    return (ratio / middle[:, None, None, None] - 1).abs()


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_tied_phases_hold_all_magnitudes_before_and_after(size, standardize):
    images = made(size, standardize=standardize)
    before = images.variable.detach().clone()
    assert relative_errors(images).nan_to_num(0).max() < 2e-10
    optimized(images)
    assert (images.variable - before).abs().max() > 1
    assert relative_errors(images).nan_to_num(0).max() < 2e-10
    assert images.magnitude_error().max() < 1e-12


def test_tied_phases_hold_all_magnitudes_of_a_large_canvas():
    magnitude = parse_spectrum("shipped").on_canvas(512, 512)
    assert relative_errors(PhaseImages(magnitude.double(), 512)).nan_to_num(0).max() < 2e-6
    single = PhaseImages(magnitude, 512)
    assert single.latent().dtype == torch.float32
    assert single.magnitude_error() < 1e-6


@pytest.mark.parametrize("size", SIZES)
def test_free_phases_hold_the_interior_columns_only(size):
    images = optimized(made(size, tied=False))
    errors = relative_errors(images)
    assert errors[..., images.exact_columns()].max() < 1e-4
    assert images.magnitude_error().min() > 1e-3
    published = relative_errors(made(size, tied=False, standardize=True))
    for column in doubled_columns(size[1]):
        assert 0.1 < published[..., 1:, column].mean() < 0.35


def test_latent_images_have_one_mean_and_one_standard_deviation():
    for options in ({}, {"tied": False}, {"standardize": True}):
        latent = optimized(made((32, 32), **options)).latent()
        assert latent.mean((1, 2, 3)).abs().max() < 1e-12
        assert (latent.std((1, 2, 3)) - 1).abs().max() < 1e-4


def test_pixels_are_a_sigmoid_of_mixed_colors():
    images = made((16, 16))
    assert torch.allclose(images.pixels(), 1 / (1 + (-to_rgb(images.latent())).exp()))


def test_standardized_phases_are_so_over_those_that_are_free():
    images = made((32, 32), standardize=True)
    with torch.no_grad():
        images.variable.mul_(3).add_(2)
    found = images._standardized()[..., free_phases(32, 32)].flatten(1)
    assert found.mean(1).abs().max() < 1e-12
    assert (found.std(1) - 1).abs().max() < 1e-4


def test_the_start_is_spread_over_the_circle_unless_it_is_the_published_one():
    ours, published = (made((64, 64), standardize=kind).variable.detach() for kind in (False, True))
    assert ours.abs().max() <= math.pi
    assert torch.polar(torch.ones_like(ours), ours).mean().abs() < 0.02
    assert abs(float(torch.polar(torch.ones_like(published), published).mean().abs()) - math.exp(-0.5)) < 0.02


def test_images_begin_alike_and_the_seed_decides():
    first, second = made((16, 16)).variable, made((16, 16), seed=1).variable
    assert torch.equal(first[0], first[1])
    assert torch.equal(first, made((16, 16)).variable)
    assert not torch.equal(first, second)


def test_phases_find_the_analytic_optimum():
    """Check 4: the score <z, t> is largest where the phases are those of the template's own transform."""
    size = (64, 64)
    images = made(size, count=1)
    template = torch.fft.irfft2(torch.fft.rfft2(noise(9, 0, 0, (1, 3, *size)).double()) * images.magnitude, s=size)
    goal = torch.fft.rfft2(template)
    optimizer = torch.optim.NAdam([images.variable], 0.1)
    for _ in range(300):
        optimizer.zero_grad()
        (-(images.latent() * template).sum()).backward()
        optimizer.step()
    found = torch.fft.rfft2(images.latent().detach())
    free = free_phases(*size)
    weights = (images.magnitude * goal.abs())[..., free]
    cosine = torch.cos(found.angle() - goal.angle())[..., free]
    assert (weights * cosine).sum() / weights.sum() > 0.95


def test_fourier_images_hold_no_magnitude():
    images = FourierImages(24, 31, 2, 0, torch.zeros(0, dtype=torch.float64))
    assert images.pixels().shape == (2, 3, 24, 31)
    assert images.magnitude_error().isnan().all()
    start = images.pixels().detach()
    assert (start - 0.5).abs().max() < 0.2  # gray to begin with
    images.pixels()[0].sum().backward()
    assert (images.variable.grad[1] == 0).all()
    assert images.variable.grad[0].abs().max() > 0
