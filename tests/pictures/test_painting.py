"""A map as colors, and over its picture."""

import matplotlib
import pytest
import torch

from lit_coiba.pictures.painting import colors, enlarged, painted, painted_over
from lit_coiba.pictures.scale import Scale, undefined


def test_full_scale_of_a_small_map_is_its_maximum():
    assert Scale.of(torch.tensor([[0.5, 7.0], [3.0, 2.0]])) == Scale(0.0, 7.0, False)


def test_full_scale_of_a_map_of_pixels_leaves_out_the_highest_hundredth():
    values = torch.arange(10_000.0)[torch.randperm(10_000, generator=torch.Generator().manual_seed(0))].view(100, 100)
    assert Scale.of(values).high == 9899.0


def test_full_scale_of_a_map_of_pixels_that_is_almost_everywhere_zero_is_its_maximum():
    values = torch.zeros(100, 100)
    values[3, 4] = 2.0
    assert Scale.of(values).high == 2.0


@pytest.mark.parametrize("values", [torch.zeros(2, 2), torch.full((2, 2), torch.nan)])
def test_a_map_without_anything_is_dark(values):
    scale = Scale.of(values)
    assert scale == Scale(0.0, 0.0, False)
    assert scale.shares(values).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_shares_are_linear_up_to_the_scale():
    values = torch.tensor([[torch.nan, -0.1, 0.0], [1.0, 2.0, 8.0]])
    assert Scale.of(values).shares(values).tolist() == [[0.0, 0.0, 0.0], [0.125, 0.25, 1.0]]
    assert Scale(0.0, 4.0).shares(values).tolist() == [[0.0, 0.0, 0.0], [0.25, 0.5, 1.0]]


def test_a_map_with_two_signs_has_one_scale_for_both():
    values = torch.tensor([[-4.0, 0.0], [1.0, 2.0]])
    scale = Scale.of(values)
    assert scale == Scale(0.0, 4.0, True)
    assert scale.shares(values).tolist() == [[-1.0, 0.0], [0.25, 0.5]]
    assert Scale.of(torch.tensor([[-0.01, 1.0]])).signed is False  # rounding is no sign


def test_a_common_scale_is_that_of_the_largest():
    assert Scale.common([torch.tensor([[1.0]]), torch.tensor([[3.0]])]) == Scale(0.0, 3.0, False)
    assert Scale.common([torch.tensor([[1.0]]), torch.tensor([[-3.0, 1.0]])]) == Scale(0.0, 3.0, True)


def test_a_map_that_is_nowhere_near_zero_is_shown_from_its_minimum():
    values = torch.tensor([[8.0, 9.0], [9.5, 10.0]])
    scale = Scale.of(values)
    assert scale.low == 8.0
    assert scale.shares(values).tolist() == [[0.0, 0.5], [0.75, 1.0]]
    assert Scale.of(torch.tensor([[4.0, 10.0]])).low == 0.0
    constant = torch.full((2, 2), 3.0)
    assert Scale.of(constant).shares(constant).tolist() == [[1.0, 1.0], [1.0, 1.0]]  # it has no differences


def test_scale_of_a_map_does_not_matter():
    values = torch.rand(5, 5, generator=torch.Generator().manual_seed(0))
    shares = Scale.of(values).shares(values)
    torch.testing.assert_close(Scale.of(values * 1e-42).shares(values * 1e-42), shares, rtol=0, atol=0.02)  # denormal
    torch.testing.assert_close(Scale.of(values * 1e37).shares(values * 1e37), shares)


def test_colors_are_those_of_the_color_map():
    shares = torch.tensor([[0.0, 0.2, 1.0]])
    expected = [matplotlib.colormaps["inferno"](float(share), bytes=True)[:3] for share in shares[0]]
    assert colors(shares).permute(1, 2, 0)[0].tolist() == [list(color) for color in expected]


def test_brightness_of_the_colors_rises_with_the_map():
    red, green, blue = colors(torch.linspace(0, 1, 256)[None]).double()[:, 0]
    assert ((0.299 * red + 0.587 * green + 0.114 * blue).diff() > -1).all()


def test_two_signs_have_two_colors():
    red, _, blue = colors(torch.tensor([[-1.0, 0.0, 1.0]]), signed=True).int()[:, 0]
    assert blue[0] > red[0] + 80
    assert abs(red[1] - blue[1]) < 5
    assert red[2] > blue[2] + 80


def test_enlarged_keeps_the_order_of_places():
    large = enlarged(torch.tensor([[0.0, 4.0], [1.0, 0.0]]), (8, 12))
    assert large.shape == (8, 12)
    assert large[0, -1] == 1.0
    assert large[0, 0] == 0.0
    assert large[-1, 0] == 0.25


def test_what_is_not_a_number_is_hatched():
    values = torch.ones(4, 4)
    values[0, 0], values[3, 3] = torch.nan, torch.inf
    assert undefined(values).nonzero().tolist() == [[0, 0], [3, 3]]
    shown = painted(values, (40, 40)).int()
    grays = (shown[0] == shown[1]) & (shown[1] == shown[2])
    assert grays[:6, :6].all()
    assert grays[34:, 34:].all()
    assert not grays[15:25, 15:25].any()
    assert len(shown[0, :6, :6].unique()) == 2


def test_overlay_without_heat_is_the_grey_picture():
    pixels = torch.randint(0, 256, (3, 6, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    shown = painted_over(pixels, torch.zeros(2, 2))
    assert shown.shape == pixels.shape
    assert shown.dtype == torch.uint8
    assert torch.equal(shown[0], shown[1])
    assert torch.equal(shown[0], shown[2])


def test_overlay_is_hottest_where_the_map_is():
    pixels = torch.full((3, 16, 16), 128, dtype=torch.uint8)
    values = torch.zeros(4, 4)
    values[1, 2] = 9.0
    shown = painted_over(pixels, values).double()
    colorful = shown.amax(0) - shown.amin(0)
    row, column = divmod(int(colorful.argmax()), 16)
    assert (row // 4, column // 4) == (1, 2)
    assert colorful[12:].max() == 0


def test_inputs_are_left_alone():
    pixels, values = torch.full((3, 4, 4), 9, dtype=torch.uint8), torch.tensor([[-1.0, 2.0]])
    painted_over(pixels, values)
    assert pixels.unique().tolist() == [9]
    assert values.tolist() == [[-1.0, 2.0]]
