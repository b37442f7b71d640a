"""Networks of two dimensions, whose transport, boundary and distances are known: checks 1, 3, 4 and 8 of HKR.

Serrurier et al., 2021 (arXiv 2006.06520) and 2023 (arXiv 2206.06854).
"""

import pytest
import torch
from scipy.stats import wasserstein_distance

from lit_coiba.lipschitz.counterfactual import boundary_step
from lit_coiba.lipschitz.radius import binary_radius
from lit_coiba.losses.hkr import hkr, kr
from tests._testers.lipschitz import attacked, circles, mlp, train


@pytest.fixture(scope="module")
def ring():
    """HKR with the specification's values on circles of radius 1 and 2: network, points, classes."""
    points, outside = circles(250)
    network = train(mlp(2), points, lambda f: hkr(f[:, 0], outside, 0.9, 0.5), 400)
    return network, points, outside


def value(network):
    return lambda x: network(x)[:, 0]


def gradient_norms(network, points):
    given = points.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(given).sum(), given)
    return gradient.norm(dim=1)


def test_a_trained_network_reaches_the_transport_distance_of_two_gaussians_and_no_more():
    """Check 1, on one sample of each."""
    generator = torch.Generator().manual_seed(0)
    x = torch.cat([torch.randn(300, 1, generator=generator), 1.5 * torch.randn(300, 1, generator=generator) + 2])
    positive = torch.arange(600) >= 300
    exact = wasserstein_distance(x[300:, 0].numpy(), x[:300, 0].numpy())
    network = train(mlp(1), x, lambda f: -kr(f[:, 0], positive), 200)
    found = kr(network(x)[:, 0], positive).item()
    assert 0.95 * exact < found <= exact + 1e-3


def test_kr_alone_finds_the_distance_of_circles_and_gradients_of_norm_1():
    """Check 8; the true distance of the circles is 1."""
    points, outside = circles(250)
    network = train(mlp(2), points, lambda f: -kr(f[:, 0], outside), 300)
    assert 0.95 < kr(network(points)[:, 0], outside).item() <= 1 + 1e-3
    assert gradient_norms(network, points).mean() > 0.98


def test_hkr_places_the_boundary(ring):
    """Check 8: accuracy 1, gradients of norm 1, a distance as large as that of KR alone."""
    network, points, outside = ring
    f = network(points)[:, 0]
    assert ((f > 0) == outside).all()
    assert 0.95 < kr(f, outside).item() <= 1 + 1e-3
    norms = gradient_norms(network, points)
    assert norms.mean() > 0.98
    assert norms.max() <= 1 + 1e-3


def test_no_pair_of_points_is_mapped_farther_apart(ring):
    """Check 2: 10,000 random pairs."""
    network, _, _ = ring
    pairs = 6 * torch.rand(2, 10_000, 2, generator=torch.Generator().manual_seed(0)) - 3
    with torch.no_grad():
        change = (network(pairs[0]) - network(pairs[1])).abs()[:, 0]
    assert (change <= (pairs[0] - pairs[1]).norm(dim=1) * (1 + 1e-4) + 1e-5).all()


def test_no_attack_flips_a_point_inside_its_radius(ring):
    """Check 3: 200 steps, 500 points."""
    network, points, outside = ring
    sign = outside.float() * 2 - 1
    radii = binary_radius(network(points)[:, 0].detach())
    signed = lambda x: sign * network(x)[:, 0]  # noqa: E731
    assert (attacked(signed, points, radii) >= -1e-4).all()
    assert (attacked(signed, points, 1.2 * radii + 0.02) < 0).float().mean() > 0.95  # not much farther all are flipped


def test_the_radius_is_the_distance_to_the_boundary(ring):
    """Check 3, for the signed distance: the boundary is the circle of radius 1.5."""
    network, points, _ = ring
    near = points[(points.norm(dim=1) > 0.5)]
    radii = binary_radius(network(near)[:, 0].detach())
    inside = torch.linspace(1, 2, 2001)
    directions = near / near.norm(dim=1, keepdim=True)
    with torch.no_grad():
        along = network((inside[:, None, None] * directions).flatten(0, 1)).view(2001, len(near))
    crossing = inside[(along > 0).float().argmax(0)]
    distance = (near.norm(dim=1) - crossing).abs()
    assert (radii / distance).median() == pytest.approx(1, abs=0.05)
    assert (radii <= distance * 1.001 + 1e-3).all()


def test_one_step_along_the_gradient_lands_on_the_boundary(ring):
    """Check 4: the median of what is left of |f| is below 5%."""
    network, points, _ = ring
    before = network(points)[:, 0].detach()
    moved = boundary_step(value(network), points)
    left = network(moved)[:, 0].detach().abs() / before.abs()
    assert left.median() < 0.05
    other = boundary_step(value(network), points, reach=2.0)
    assert (network(other)[:, 0].detach().sign() != before.sign()).float().mean() > 0.95
