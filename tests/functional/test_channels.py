import pytest
import torch

from lit_coiba.functional.channels import over_colours


@pytest.mark.parametrize(
    ("reduce", "expected"), [("sum", -1.0), ("mean", -1 / 3), ("abs_max", 4.0), ("abs_mean", 7 / 3)]
)
def test_colours_of_a_pixel(reduce, expected):
    values = torch.tensor([1.0, 2.0, -4.0]).view(1, 3, 1, 1)
    assert over_colours(values, reduce).item() == pytest.approx(expected)
    assert over_colours(values.expand(2, 3, 4, 5), reduce).shape == (2, 4, 5)


def test_the_sum_keeps_what_a_map_adds_up_to():
    values = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(over_colours(values, "sum").sum((1, 2)), values.sum((1, 2, 3)))
    torch.testing.assert_close(over_colours(values, "mean").sum((1, 2)), values.sum((1, 2, 3)) / 3)
