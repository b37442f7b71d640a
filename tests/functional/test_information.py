"""Checks are numbered as in docs/checks.md, CoIBA and IBA."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from lit_coiba.functional import information, information_gradient, information_of_ratio

ALPHAS = torch.linspace(-4, 14, 73, dtype=torch.float64)


def gaussian_kl(alpha, r, mean, std):
    """KL of what the bottleneck lets through from what it puts in its place, as torch.distributions computes it."""
    ratio = torch.sigmoid(alpha)
    passed = Normal(ratio * r + (1 - ratio) * mean, (1 - ratio) * std)
    return kl_divergence(passed, Normal(mean, std))


@given(
    alpha=st.floats(-4, 14),
    r=st.lists(st.floats(-20, 20), min_size=1, max_size=8),
    mean=st.floats(-5, 5),
    std=st.floats(0.01, 10),
)
def test_iba_2_closed_form_equals_the_divergence_of_gaussians(alpha, r, mean, std):
    alpha, r = torch.tensor(alpha, dtype=torch.float64), torch.tensor(r, dtype=torch.float64)
    mean, std = torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64)
    direct = gaussian_kl(alpha, r, mean, std)
    squared = ((r - mean) / std).square()
    torch.testing.assert_close(information(alpha, squared), direct, rtol=1e-10, atol=1e-10)
    # the mean over channels that share a ratio depends on the mean of the squares alone
    torch.testing.assert_close(information(alpha, squared.mean()), direct.mean(), rtol=1e-10, atol=1e-10)


@given(alpha=st.floats(-4, 14), squared=st.floats(0, 100))
def test_information_of_a_ratio_is_the_same_number(alpha, squared):
    alpha, squared = torch.tensor(alpha, dtype=torch.float64), torch.tensor(squared, dtype=torch.float64)
    nats = information_of_ratio(torch.sigmoid(alpha), torch.sigmoid(-alpha), squared)
    torch.testing.assert_close(nats, information(alpha, squared), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("squared", [0.0, 1.0, 5.0])
def test_coiba_2_gradient_against_central_differences(squared):
    squared, step = torch.tensor(squared, dtype=torch.float64), 1e-5
    differences = (information(ALPHAS + step, squared) - information(ALPHAS - step, squared)) / (2 * step)
    torch.testing.assert_close(information_gradient(ALPHAS, squared), differences, rtol=1e-6, atol=0)


def test_gradient_is_what_autograd_finds():
    alpha, squared = ALPHAS.clone().requires_grad_(True), torch.linspace(0, 9, len(ALPHAS), dtype=torch.float64)
    (found,) = torch.autograd.grad(information(alpha, squared).sum(), alpha)
    torch.testing.assert_close(found, information_gradient(ALPHAS, squared), rtol=1e-10, atol=0)


def test_gradient_of_information_of_a_ratio():
    alpha = ALPHAS[::8].clone().requires_grad_(True)

    def of_ratio(alpha):
        return information_of_ratio(torch.sigmoid(alpha), torch.sigmoid(-alpha), torch.tensor(2.0))

    assert torch.autograd.gradcheck(of_ratio, alpha)


@pytest.mark.parametrize(("alpha", "nats"), [(5, 5.00), (2, 2.02), (0, 0.443), (-1, 0.117)])
def test_coiba_3_values_at_one(alpha, nats):
    assert information(torch.tensor(float(alpha)), torch.tensor(1.0)).item() == pytest.approx(nats, abs=5e-3)


def test_coiba_3_value_of_a_small_ratio():
    assert information(torch.tensor(-4.0), torch.tensor(1.0)).item() == pytest.approx(4.9e-4, rel=0.02)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_coiba_4_large_logits_stay_finite(dtype):
    for alpha in (17.0, 40.0, 100.0, 500.0):
        alpha = torch.tensor(alpha, dtype=dtype, requires_grad=True)
        nats = information(alpha, torch.ones((), dtype=dtype))
        (gradient,) = torch.autograd.grad(nats, alpha)
        assert nats.item() == pytest.approx(alpha.item(), rel=1e-6)
        assert gradient.item() == pytest.approx(1, rel=1e-6)
        assert information_gradient(alpha.detach(), torch.ones((), dtype=dtype)).item() == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_coiba_4_negative_logits_let_nothing_pass(dtype):
    alpha = torch.tensor([-20.0, -40.0, -1000.0], dtype=dtype)
    assert (information(alpha, torch.ones((), dtype=dtype)).abs() < 1e-12).all()
    assert (information_gradient(alpha, torch.ones((), dtype=dtype)).abs() < 1e-12).all()


def test_iba_1_and_coiba_5_a_ratio_of_zero_passes_exactly_nothing():
    squared = torch.tensor([0.0, 1.0, 50.0])
    assert torch.equal(information(torch.full((3,), -torch.inf), squared), torch.zeros(3))
    assert torch.equal(information_of_ratio(torch.zeros(3), torch.ones(3), squared), torch.zeros(3))


def test_iba_1_towards_one_it_grows_like_minus_the_logarithm_of_the_noise():
    noise = torch.logspace(-1, -12, 12, dtype=torch.float64)
    nats = information_of_ratio(1 - noise, noise, torch.ones(()).double())
    assert (nats + noise.log()).abs().max() < 0.1  # m = 1: the other terms cancel but for the noise itself
    assert (nats.diff() > 0).all()


def test_saturated_ratios_stay_finite_with_their_gradients():
    """Spec iba.md, pitfalls: the logarithm of a ratio that rounds to one is where NaN came from."""
    ratio, noise = torch.ones(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    nats = information_of_ratio(ratio, noise, torch.ones(3))
    assert nats.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(nats.sum(), (ratio, noise)))


@pytest.mark.parametrize("squared", [0.0, 1.0, 7.0])
def test_small_ratios_keep_their_digits_in_single_precision(squared):
    alpha = torch.linspace(-8, 14, 89)
    squared = torch.tensor(squared)
    exact, slope = (f(alpha.double(), squared.double()) for f in (information, information_gradient))
    torch.testing.assert_close(information(alpha, squared).double(), exact, rtol=1e-3, atol=0)
    torch.testing.assert_close(information_gradient(alpha, squared).double(), slope, rtol=1e-5, atol=0)
    near = alpha >= -4  # where nine steps from 5 can lead
    torch.testing.assert_close(information(alpha, squared).double()[near], exact[near], rtol=1e-5, atol=0)


def test_shapes_broadcast():
    assert information(torch.zeros(4, 1), torch.ones(2, 4, 3)).shape == (2, 4, 3)
