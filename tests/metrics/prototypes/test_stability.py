"""Stability on tables that are small enough to count by hand."""

import pytest
import torch

from lit_coiba.metrics.prototypes.stability import Stability


def bools(*rows):
    return torch.tensor(rows, dtype=torch.bool)


def test_nothing_changed_is_all_stable():
    vectors = torch.rand(9, 4, 5, generator=torch.Generator().manual_seed(0)) < 0.5
    metric = Stability(torch.zeros(3, 4, dtype=torch.long))
    metric.update(vectors, vectors.clone(), torch.arange(9) % 3)
    assert metric.compute() == 1


def test_a_vector_is_the_same_in_all_parts_or_changed():
    metric = Stability(torch.tensor([[0]]))
    clean, noisy = bools([1, 0, 1], [0, 0, 0])[:, None], bools([1, 1, 0], [0, 0, 0])[:, None]  # one part for another
    metric.update(clean, noisy, torch.zeros(2, dtype=torch.long))
    assert metric.compute() == 0.5


def test_the_mean_is_over_prototypes_not_over_images():
    """Class 0: three images, stable in one; class 1: one image, stable; class 2: none; a gap in class 1."""
    metric = Stability(torch.tensor([[0, 1], [1, -1], [2, 3]]))
    clean = torch.zeros(4, 2, 1, dtype=torch.bool)
    noisy = bools([1, 0], [1, 0], [0, 0], [0, 1])[:, :, None]
    for b, label in enumerate([0, 0, 0, 1]):
        metric.update(clean[b : b + 1], noisy[b : b + 1], torch.tensor([label]))
    assert metric.compute().item() == pytest.approx((1 / 3 + 1 + 1) / 3)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_without_images_there_is_none():
    assert Stability(torch.tensor([[0]])).compute().isnan()
