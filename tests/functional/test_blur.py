import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn.functional import conv2d
from torchvision.transforms.functional import gaussian_blur

from lit_coiba.functional import blur_images, folded_gaussian_window, gaussian_window


def impulse_response(size, sigma):
    """RISE's kernel as its authors make it: scipy's filter of an impulse in the middle of a small window."""
    impulse = np.zeros((size, size))
    impulse[size // 2, size // 2] = 1
    return torch.from_numpy(gaussian_filter(impulse, sigma))


@pytest.mark.parametrize(("size", "sigma"), [(11, 5.0), (3, 1.0), (5, 0.6), (1, 2.0), (7, 9.0)])
def test_the_folded_window_is_scipys_response_to_an_impulse(size, sigma):
    window = folded_gaussian_window(size, sigma)
    torch.testing.assert_close(torch.outer(window, window), impulse_response(size, sigma), rtol=1e-12, atol=1e-15)


def test_windows_sum_to_one_and_differ():
    folded, cut = folded_gaussian_window(11, 5.0), gaussian_window(11, 5.0)
    assert [folded.sum().item(), cut.sum().item()] == pytest.approx([1, 1])
    assert folded.max() / folded.min() < 1.3 < cut.max() / cut.min()  # RISE's is nearly a box


def test_rise_blur_is_a_zero_padded_convolution():
    images = torch.randn(2, 3, 14, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kernel = impulse_response(11, 5.0).expand(3, 1, -1, -1)
    expected = conv2d(images, kernel, padding=5, groups=3)
    torch.testing.assert_close(blur_images(images, "rise", 11, 5.0), expected, rtol=1e-12, atol=1e-14)


def test_gaussian_blur_is_torchvisions():
    images = torch.randn(2, 3, 40, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = gaussian_blur(images, [51, 51], [50.0, 50.0])
    torch.testing.assert_close(blur_images(images, "gaussian", 51, 50.0), expected, rtol=1e-6, atol=1e-6)


def test_a_constant_image_is_a_fixed_point_of_the_reflecting_blur_only():
    images = torch.full((1, 1, 8, 8), 0.7, dtype=torch.float64)
    torch.testing.assert_close(blur_images(images, "gaussian", 5, 2.0), images)
    assert blur_images(images, "rise", 5, 2.0)[0, 0, 0, 0] < 0.3
