"""Points in a plane: near where they are alike, the same every time, and defined for a handful."""

import pytest
import torch

from lit_coiba.concepts.plane import plane


def clusters(count=20, dimensions=6):
    centers = 10 * torch.eye(3, dimensions)
    generator = torch.Generator().manual_seed(0)
    return torch.cat([center + torch.randn(count, dimensions, generator=generator) for center in centers])


def test_clusters_stay_clusters():
    found = plane(clusters())
    assert found.abs().max() <= 1
    distances = torch.cdist(found, found)
    own = torch.arange(60) // 20
    distances.fill_diagonal_(torch.inf)
    assert (own[distances.argmin(1)] == own).all()


def test_the_same_every_time():
    points = clusters()
    assert torch.equal(plane(points), plane(points))


@pytest.mark.parametrize("count", [0, 1, 2, 4, 5, 7])
def test_a_handful(count):
    found = plane(clusters()[:count])
    assert found.shape == (count, 2)
    assert found.isfinite().all()


def test_points_that_are_the_same_lie_in_the_middle():
    assert torch.equal(plane(torch.ones(12, 4)), torch.zeros(12, 2))


def test_few_points_keep_their_distances():
    points = torch.tensor([[0.0, 0.0, 1.0], [2.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    found, own = torch.cdist(plane(points), plane(points)), torch.cdist(points, points)
    torch.testing.assert_close(found / found.max(), own / own.max())
