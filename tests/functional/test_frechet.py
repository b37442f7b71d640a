"""The Frechet distance: 0 of a set with itself, and the closed form (check 6 of MACO's specification)."""

import numpy as np
import pytest
import scipy.linalg
import torch

from lit_coiba.functional import Scatter, frechet_distance, scatter_distance


def features(count, channels, seed):
    random = np.random.default_rng(seed)
    return random.normal(size=(count, channels)) @ random.normal(size=(channels, channels)) + random.normal(
        size=channels
    )


@pytest.mark.parametrize(("count", "channels"), [(50, 6), (4, 9)])
def test_a_set_is_not_far_from_itself(count, channels):
    values = torch.from_numpy(features(count, channels, 0))
    assert 0 <= frechet_distance(values, values) < 1e-6
    assert 0 <= frechet_distance(values, values.flip(0)) < 1e-6


@pytest.mark.parametrize(("count", "channels"), [(50, 6), (4, 9)])
def test_it_is_the_formula_with_scipys_root(count, channels):
    one, two = features(count, channels, 0), features(count + 3, channels, 1)
    first, second = np.cov(one.T), np.cov(two.T)
    root = scipy.linalg.sqrtm(first @ second + 1e-12 * np.eye(channels))
    wanted = np.square(one.mean(0) - two.mean(0)).sum() + np.trace(first + second - 2 * root.real)
    found = float(frechet_distance(torch.from_numpy(one), torch.from_numpy(two)))
    assert found == pytest.approx(wanted, rel=1e-4)
    assert float(frechet_distance(torch.from_numpy(two), torch.from_numpy(one))) == pytest.approx(found, rel=1e-6)


def test_of_independent_channels_it_is_a_sum_of_squares():
    """Means and standard deviations are apart by known numbers."""
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3).double()  # independent, of equal variance
    std = signs.std(0)
    low, high = torch.tensor([1.0, 2.0, 3.0]).double(), torch.tensor([4.0, 2.0, 1.0]).double()
    shift = torch.tensor([0.5, 0.0, -2.0]).double()
    wanted = shift.square().sum() + ((low - high) * std).square().sum()
    assert float(frechet_distance(low * signs, high * signs + shift)) == pytest.approx(float(wanted), rel=1e-9)


@pytest.mark.parametrize("sizes", [(50,), (1, 49), (20, 3, 27)])
def test_mean_and_scatter_do_not_see_how_a_set_is_cut(sizes):
    values = features(50, 6, 2) + 100
    parts = [Scatter.of(part) for part in torch.from_numpy(values).split(list(sizes))]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.merge(part)
    assert whole.size == 50
    assert np.allclose(whole.mean, values.mean(0), rtol=1e-12)
    assert np.allclose(whole.covariance(), np.cov(values.T), rtol=1e-9)
    other = torch.from_numpy(features(40, 6, 3))
    wanted = float(frechet_distance(torch.from_numpy(values), other))
    assert float(scatter_distance(whole, Scatter.of(other))) == pytest.approx(wanted, rel=1e-9)
