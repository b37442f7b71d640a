"""Purity of channels by hand, against a slow loop, and after any rotation."""

import pytest
import torch

from lit_coiba.functional import channel_purity, pair_purity, prototype_counts

GENERATOR = torch.Generator().manual_seed(0)
MAPS = torch.randn(3, 5, 2, 4, generator=GENERATOR, dtype=torch.float64)


def test_by_hand():
    """Check 3 of the prototypes in docs/checks.md: on the axis 1, on the other side -1, nothing 0."""
    axis = torch.tensor([[[[2.0]], [[0.0]]], [[[-2.0]], [[0.0]]], [[[0.0]], [[0.0]]]])
    assert channel_purity(axis)[:, 0].tolist() == [1, -1, 0]
    assert channel_purity(torch.full((1, 1, 1, 1), 1e-9)).item() == pytest.approx(0.1)  # the floor


def test_against_a_loop():
    found = channel_purity(MAPS)
    assert found.abs().max() <= 1
    for image, row in zip(MAPS, found):
        for channel, purity in enumerate(row):
            places = [(y, x) for y in range(2) for x in range(4)]
            y, x = max(places, key=lambda place: image[channel, place[0], place[1]])
            assert purity.item() == pytest.approx((image[channel, y, x] / image[:, y, x].norm()).item())


def test_of_a_pair_it_is_that_of_the_rotated_image():
    rotation = torch.linalg.qr(torch.randn(5, 5, generator=GENERATOR, dtype=torch.float64)).Q
    whole = channel_purity(torch.einsum("cd,bdhw->bchw", rotation, MAPS))
    images, channels = torch.tensor([0, 1, 2, 2]), torch.tensor([4, 0, 3, 1])
    torch.testing.assert_close(pair_purity(MAPS[images], rotation, channels), whole[images, channels])


def test_gradient_of_a_pair():
    rotation = torch.randn(5, 5, generator=GENERATOR, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda matrix: pair_purity(MAPS, matrix, torch.tensor([0, 3, 4])), rotation)


@pytest.mark.parametrize("decay", ["linear", "exponential", "log"])
def test_counts_fall_from_the_first_to_the_last(decay):
    """Check 11 of InfoDisent in docs/checks.md."""
    counts = prototype_counts(decay=decay)
    assert (counts[0], counts[-1], len(counts)) == (100, 5, 11)
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize("arguments", [{"first": 4}, {"last": 0}, {"steps": 0}, {"decay": "sudden"}])
def test_counts_that_make_no_sense_are_refused(arguments):
    with pytest.raises(ValueError, match=r"cannot become|no decay"):
        prototype_counts(**arguments)
