import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import correlate1d

from lit_coiba.functional import convolve, gaussian_kernel, resize_map, resize_ratio, smooth
from tests._testers.twins import triangle_filter

sides = st.integers(1, 9)


def random(*shape, seed=0, dtype=torch.float64):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def half_pixel_bilinear(map, height, width):
    """Every pixel's centre in the coordinates of the cells' centres, borders repeated; a loop, from the definition."""
    rows, columns = map.shape
    out = torch.zeros(height, width, dtype=map.dtype)
    for i in range(height):
        for j in range(width):
            y = min(max((i + 0.5) * rows / height - 0.5, 0), rows - 1)
            x = min(max((j + 0.5) * columns / width - 0.5, 0), columns - 1)
            top, left = math.floor(y), math.floor(x)
            low, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
            y, x = y - top, x - left
            upper = (1 - x) * map[top, left] + x * map[top, right]
            out[i, j] = (1 - y) * upper + y * ((1 - x) * map[low, left] + x * map[low, right])
    return out


@given(sides, sides, st.integers(1, 12), st.integers(1, 12))
def test_resize_map_is_half_pixel_bilinear(rows, columns, height, width):
    maps = random(2, rows, columns)
    resized = resize_map(maps, (height, width))
    for map, expected in zip(maps, resized):
        torch.testing.assert_close(half_pixel_bilinear(map, height, width), expected)


@given(sides, sides, st.integers(1, 5), st.integers(1, 5))
def test_resize_map_by_whole_factors_keeps_the_integral(rows, columns, vertical, horizontal):
    maps = random(1, rows, columns)
    resized = resize_map(maps, (rows * vertical, columns * horizontal))
    assert (resized.sum() / (vertical * horizontal)).item() == pytest.approx(maps.sum().item(), rel=1e-12)


@given(sides, sides, sides, sides, st.integers(0, 100))
def test_resize_ratio_averages_with_a_triangle(rows, columns, height, width, seed):
    ratio = random(2, rows, columns, seed=seed)
    expected = triangle_filter(height, rows) @ ratio @ triangle_filter(width, columns).T
    resized = resize_ratio(ratio, (height, width))
    torch.testing.assert_close(resized, expected)
    assert ((resized >= 0) & (resized <= 1)).all()


def test_resize_ratio_of_a_constant_is_that_constant():
    torch.testing.assert_close(resize_ratio(torch.full((1, 7, 5), 0.3), (3, 11)), torch.full((1, 3, 11), 0.3))


def test_resize_ratio_on_its_own_grid_is_the_same_tensor():
    ratio = random(1, 3, 4)
    assert resize_ratio(ratio, (3, 4)) is ratio


def test_iba_5_kernel_sums_to_one_and_has_five_cells_at_sigma_one():
    assert len(gaussian_kernel(1.0)) == 5
    for sigma in (0.2, 0.5, 1.0, 1.3, 2.0):
        kernel = gaussian_kernel(sigma)
        assert kernel.sum().item() == pytest.approx(1, abs=1e-12)
        assert len(kernel) == 2 * round(2 * sigma) + 1
        assert torch.equal(kernel, kernel.flip(0))
    ratio = gaussian_kernel(1.0)[2] / gaussian_kernel(1.0)[1]
    assert ratio.item() == pytest.approx(math.exp(0.5))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_iba_5_a_constant_is_left_unchanged(dtype):
    constant = torch.full((2, 3, 6, 4), 0.7, dtype=dtype)
    torch.testing.assert_close(smooth(constant, 1.0), constant, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("sigma", "size"), [(1.0, (3, 3)), (1.0, (4, 9)), (0.5, (2, 5)), (2.0, (7, 5)), (0.2, (1, 1))])
def test_smooth_is_scipys_convolution_with_mirrored_borders(sigma, size):
    values = random(2, 3, *size)
    expected = values.numpy()
    for axis in (-2, -1):
        expected = correlate1d(expected, gaussian_kernel(sigma).numpy(), axis=axis, mode="mirror")
    torch.testing.assert_close(smooth(values, sigma), torch.from_numpy(expected))


def test_smooth_of_another_memory_layout():
    values = random(2, 3, 5, 6)
    torch.testing.assert_close(smooth(values.to(memory_format=torch.channels_last), 1.0), smooth(values, 1.0))


def test_smooth_refuses_a_grid_smaller_than_the_border():
    with pytest.raises(ValueError, match=r"a kernel of 5 cells needs a grid larger than 2, not \(2, 8\)"):
        smooth(torch.zeros(1, 1, 2, 8), 1.0)


def test_smooth_keeps_its_precision_under_autocast():
    values = random(1, 2, 6, 6, dtype=torch.float32).requires_grad_(True)
    exact = smooth(values, 1.0)
    with torch.autocast("cpu", torch.bfloat16):
        smoothed = smooth(values, 1.0)
    assert smoothed.dtype == torch.float32
    assert torch.equal(smoothed, exact)
    (a,), (b,) = (torch.autograd.grad(s.square().sum(), values) for s in (smoothed, exact))
    assert torch.equal(a, b)


def test_resize_ratio_keeps_its_precision_under_autocast_and_has_a_gradient():
    ratio = random(2, 5, 4).requires_grad_(True)
    with torch.autocast("cpu", torch.bfloat16):
        found = resize_ratio(ratio.float(), (3, 7))
    torch.testing.assert_close(found, resize_ratio(ratio, (3, 7)).float())
    assert torch.autograd.gradcheck(lambda r: resize_ratio(r, (3, 7)), ratio)
    assert torch.autograd.gradcheck(lambda r: smooth(r[None], 1.0), ratio)


@pytest.mark.parametrize(("border", "mode"), [("reflect", "mirror"), ("zeros", "constant")])
def test_convolve_is_scipys_correlation_along_both_axes(border, mode):
    values, kernel = random(2, 3, 6, 8), [0.1, 0.2, 0.4, 0.2, 0.1]
    expected = correlate1d(correlate1d(values.numpy(), kernel, -2, mode=mode), kernel, -1, mode=mode)
    torch.testing.assert_close(convolve(values, kernel, border), torch.from_numpy(expected))
