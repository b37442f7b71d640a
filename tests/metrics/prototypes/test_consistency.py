"""Consistency on tables that are small enough to count by hand."""

import pytest
import torch

from lit_coiba.metrics.prototypes.consistency import Consistency

ONE = torch.tensor([[0]])  # a class with one prototype


def bools(*rows):
    return torch.tensor(rows, dtype=torch.bool)


def consistency(vectors, visible, prototypes=ONE, labels=None, **arguments):
    metric = Consistency(prototypes, vectors.shape[-1], **arguments)
    labels = torch.zeros(len(vectors), dtype=torch.long) if labels is None else labels
    for b in range(len(vectors)):  # image by image
        metric.update(vectors[b : b + 1], visible[b : b + 1], labels[b : b + 1])
    return metric.compute().item()


@pytest.mark.parametrize(("hits", "images", "expected"), [(4, 5, 1), (12, 15, 1), (79, 100, 0), (80, 100, 1)])
def test_exactly_four_fifths_are_enough(hits, images, expected):
    vectors = torch.zeros(images, 1, 2, dtype=torch.bool)
    vectors[:hits, 0, 1] = True
    assert consistency(vectors, torch.ones(images, 2, dtype=torch.bool)) == expected


def test_images_that_hide_a_part_do_not_count_for_it():
    vectors = bools([1, 0], [1, 0], [0, 0], [0, 0])[:, None]
    shown = torch.ones(4, 2, dtype=torch.bool)
    assert consistency(vectors, shown) == 0
    hidden = bools([1, 1], [1, 1], [0, 1], [0, 1])
    assert consistency(vectors, hidden) == 1


def test_a_part_that_no_image_shows_makes_nothing_consistent():
    assert consistency(bools([0, 0])[:, None], bools([0, 0])) == 0


def test_one_part_must_do_it_alone():
    """Always on some part, but on each in half of the images."""
    assert consistency(bools([1, 0], [0, 1], [1, 0], [0, 1])[:, None], torch.ones(4, 2, dtype=torch.bool)) == 0


def test_prototypes_are_judged_within_their_class_and_only_where_there_are_images():
    prototypes = torch.tensor([[3, 5], [5, -1], [2, 4]])  # the last class has no image, the second one prototype
    vectors = bools([1, 0], [1, 0], [1, 1])[:, :, None]  # image, prototype, part
    labels = torch.tensor([0, 0, 1])
    assert consistency(vectors, torch.ones(3, 1, dtype=torch.bool), prototypes, labels) == pytest.approx(2 / 3)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_without_images_there_is_none():
    assert Consistency(ONE, 2).compute().isnan()


def test_another_threshold():
    vectors, shown = bools([1], [0])[:, None], torch.ones(2, 1, dtype=torch.bool)
    assert consistency(vectors, shown, threshold=0.5) == 1
