import sys

import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.perturbation.segments import checked_regions, grid_segments, segment_masks, superpixels


def test_a_grid_covers_the_image_evenly():
    cells = grid_segments(3, (10, 7))
    assert cells.shape == (1, 10, 7)
    counts = cells.flatten().bincount()
    assert len(counts) == 9
    assert counts.min() >= 6
    assert counts.sum() == 70


def test_superpixels_follow_colours():
    pixels = torch.zeros(2, 3, 32, 32)
    pixels[:, 0, :, 13:] = 1.0
    labels = superpixels(pixels, 16)
    assert labels.shape == (2, 32, 32)
    assert torch.equal(labels[0], labels[1])
    assert torch.equal(labels[0].unique(), torch.arange(labels.max() + 1))
    assert set(labels[0, :, :13].unique().tolist()).isdisjoint(labels[0, :, 13:].unique().tolist())


def test_without_scikit_image_a_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(InputError, match=r"needs scikit-image: pip install 'lit-coiba\[demo\]', or choose grid"):
        superpixels(torch.zeros(1, 3, 8, 8), 4)


def test_masks_have_the_value_of_the_segment():
    values = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    places = torch.tensor([[[0, 1], [2, 2]], [[1, 1], [0, 2]]])
    masks = segment_masks(values, places)
    assert masks.shape == (2, 2, 2, 2)
    assert masks[1].tolist() == [[[3, 4], [5, 5]], [[4, 4], [3, 5]]]


def test_regions_are_numbered_without_gaps():
    images = torch.zeros(2, 3, 2, 2)
    assert checked_regions(torch.tensor([[7, 7], [-1, 30]]), images).tolist() == [[[1, 1], [0, 2]]]
    assert checked_regions(torch.zeros(2, 2, 2, dtype=torch.uint8), images).shape == (2, 2, 2)


@pytest.mark.parametrize(
    "regions", [torch.zeros(2, 2), torch.zeros(3, 2, 2).int(), torch.zeros(2, 3).int(), torch.zeros(4).int()]
)
def test_regions_of_another_kind_are_refused(regions):
    with pytest.raises(InputError, match=r"regions are .*: give integers \(2, 2\)"):
        checked_regions(regions, torch.zeros(2, 3, 2, 2))
