"""Crops of images and their noise: where they lie, and how they depend on seed and step."""

import pytest
import torch
from torch.nn.functional import interpolate

from lit_coiba.feature_visualization.crops import crop_boxes, crop_noise, cropped


def test_boxes_lie_inside_and_shrink():
    first, last = crop_boxes(0, 0, 100, 500, 0.15, None), crop_boxes(0, 99, 100, 500, 0.15, None)
    for boxes in (first, last):
        assert (boxes[:, :2] - boxes[:, 2:] / 2).min() > -1e-6
        assert (boxes[:, :2] + boxes[:, 2:] / 2).max() < 1 + 1e-6
    assert abs(float(first[:, 2].mean()) - 0.5) < 0.01
    assert abs(float(first[:, 2].std()) - 0.05) < 0.01
    assert last[:, 2].min() == pytest.approx(0.05)
    assert float(last[:, 2].mean()) < 0.1
    assert abs(float(last[:, 0].std()) - 0.15) < 0.02


def test_boxes_and_noise_depend_on_seed_and_step_only():
    assert torch.equal(crop_boxes(3, 5, 9, 4, 0.15, None), crop_boxes(3, 5, 9, 4, 0.15, None))
    assert not torch.equal(crop_boxes(3, 5, 9, 4, 0.15, None), crop_boxes(3, 6, 9, 4, 0.15, None))
    assert not torch.equal(crop_boxes(3, 5, 9, 4, 0.15, None), crop_boxes(4, 5, 9, 4, 0.15, None))
    assert torch.equal(crop_noise(3, 5, 2, (8, 8), 0.1), crop_noise(3, 5, 2, (8, 8), 0.1))
    assert not torch.equal(crop_noise(3, 5, 2, (8, 8), 0.1), crop_noise(3, 6, 2, (8, 8), 0.1))


def test_noise_is_normal_and_uniform():
    found = crop_noise(0, 0, 20, (64, 64), 0.2)
    assert abs(float(found.mean())) < 1e-3
    assert float(found.var()) == pytest.approx(0.2**2 * (1 + 1 / 12), rel=0.02)
    assert crop_noise(0, 0, 2, (8, 8), 0.0).abs().max() == 0


def test_the_whole_image_is_what_interpolation_gives():
    images = torch.rand(2, 3, 12, 20, generator=torch.Generator().manual_seed(0))
    square = images[..., :12]
    found = cropped(square, torch.tensor([[0.5, 0.5, 1.0]]), (7, 7))
    assert torch.allclose(found, interpolate(square, (7, 7), mode="bilinear", align_corners=False), atol=1e-6)


def test_crops_of_whole_pixels_are_slices():
    images = torch.rand(2, 3, 12, 20, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[6 / 12, 8 / 20, 8 / 12], [4 / 12, 16 / 20, 8 / 12]])  # 8 x 8 pixels around (6, 8), (4, 16)
    found = cropped(images, boxes, (8, 8))
    wanted = torch.stack(
        [images[0, :, 2:10, 4:12], images[0, :, :8, 12:], images[1, :, 2:10, 4:12], images[1, :, :8, 12:]]
    )
    assert torch.allclose(found, wanted, atol=1e-6)


def test_crops_have_the_proportions_of_the_model_input():
    images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    found = cropped(images, torch.tensor([[0.5, 0.5, 1.0]]), (8, 16))
    assert torch.allclose(found, images[:, :, 4:12], atol=1e-6)
