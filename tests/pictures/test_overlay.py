"""A map as colors, and over its picture."""

import matplotlib
import pytest
import torch

from lit_coiba.pictures.overlay import enlarged, full_scale, heat, overlay, relative, zero_scale


def test_full_scale_of_a_small_map_is_its_maximum():
    assert full_scale(torch.tensor([[0.5, -7.0], [3.0, 2.0]])) == 3.0


def test_full_scale_of_a_map_of_pixels_leaves_out_the_highest_hundredth():
    values = torch.arange(10_000.0)[torch.randperm(10_000, generator=torch.Generator().manual_seed(0))].view(100, 100)
    assert full_scale(values) == 9899.0


def test_full_scale_of_a_map_of_pixels_that_is_almost_everywhere_zero_is_its_maximum():
    values = torch.zeros(100, 100)
    values[3, 4] = 2.0
    assert full_scale(values) == 2.0


@pytest.mark.parametrize("values", [torch.zeros(2, 2), torch.full((2, 2), -1.0), torch.full((2, 2), torch.nan)])
def test_a_map_without_anything_positive_is_dark(values):
    assert full_scale(values) == 0.0
    assert relative(values).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_relative_is_linear_up_to_the_scale():
    values = torch.tensor([[torch.nan, -5.0, 0.0], [1.0, 2.0, 8.0]])
    assert relative(values).tolist() == [[0.0, 0.0, 0.0], [0.125, 0.25, 1.0]]
    assert relative(values, scale=4.0).tolist() == [[0.0, 0.0, 0.0], [0.25, 0.5, 1.0]]


def test_a_map_that_is_nowhere_near_zero_is_shown_from_its_minimum():
    values = torch.tensor([[8.0, 9.0], [9.5, 10.0]])
    assert relative(values).tolist() == [[0.0, 0.5], [0.75, 1.0]]
    torch.testing.assert_close(relative(values, scale=10.0), values / 10)
    assert zero_scale(values) == 8.0
    assert zero_scale(torch.tensor([[4.0, 10.0]])) == 0.0
    assert relative(torch.full((2, 2), 3.0)).tolist() == [[1.0, 1.0], [1.0, 1.0]]  # a constant has no differences


def test_scale_of_a_map_does_not_matter():
    values = torch.rand(5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(relative(values * 1e-42), relative(values), rtol=0, atol=0.02)  # denormal numbers
    torch.testing.assert_close(relative(values * 1e37), relative(values))


def test_heat_is_the_colour_map():
    shares = torch.tensor([[0.0, 0.2, 1.0]])
    expected = [matplotlib.colormaps["inferno"](float(share), bytes=True)[:3] for share in shares[0]]
    assert heat(shares).permute(1, 2, 0)[0].tolist() == [list(color) for color in expected]


def test_brightness_of_the_colours_rises_with_the_map():
    red, green, blue = heat(torch.linspace(0, 1, 256)[None]).double()[:, 0]
    assert ((0.299 * red + 0.587 * green + 0.114 * blue).diff() > -1).all()


def test_enlarged_keeps_the_order_of_places():
    large = enlarged(torch.tensor([[0.0, 4.0], [1.0, 0.0]]), (8, 12))
    assert large.shape == (8, 12)
    assert large[0, -1] == 1.0
    assert large[0, 0] == 0.0
    assert large[-1, 0] == 0.25


def test_overlay_without_heat_is_the_grey_picture():
    pixels = torch.randint(0, 256, (3, 6, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    shown = overlay(pixels, torch.zeros(2, 2))
    assert shown.shape == pixels.shape
    assert shown.dtype == torch.uint8
    assert torch.equal(shown[0], shown[1])
    assert torch.equal(shown[0], shown[2])


def test_overlay_is_hottest_where_the_map_is():
    pixels = torch.full((3, 16, 16), 128, dtype=torch.uint8)
    values = torch.zeros(4, 4)
    values[1, 2] = 9.0
    shown = overlay(pixels, values).double()
    colorful = shown.amax(0) - shown.amin(0)
    row, column = divmod(int(colorful.argmax()), 16)
    assert (row // 4, column // 4) == (1, 2)
    assert colorful[12:].max() == 0


def test_inputs_are_left_alone():
    pixels, values = torch.full((3, 4, 4), 9, dtype=torch.uint8), torch.tensor([[-1.0, 2.0]])
    overlay(pixels, values)
    assert pixels.unique().tolist() == [9]
    assert values.tolist() == [[-1.0, 2.0]]
