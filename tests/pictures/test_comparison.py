"""Methods side by side."""

import pytest
import torch
from PIL import Image

from lit_coiba.core.errors import InputError
from lit_coiba.pictures import Comparison, comparison


def example(title="cat", names=("A", "B"), side=64):
    values = torch.zeros(4, 4)
    values[0, 0] = 1.0
    pixels = torch.full((3, side, side), 100, dtype=torch.uint8)
    pixels[0] = 200
    return Comparison(pixels, title, "model", {name: values for name in names})


@pytest.mark.parametrize("columns", [1, 2])
def test_picture_and_maps(tmp_path, columns):
    file = comparison([example(), example(r"$\frac{"), example(side=300)], tmp_path / "x.png", columns)
    with Image.open(file) as picture:
        assert picture.width == (2 * 20 + columns * (3 * 156 - 6 + 20) - 20)
        for row, column in [(0, 0), *([(0, 1)] if columns == 2 else [(1, 0), (2, 0)])]:
            x, y = 20 + column * (3 * 156 - 6 + 20), 38 + row * 184
            assert picture.getpixel((x + 75, y + 75)) == (200, 100, 100)
            red, green, blue = picture.getpixel((x + 156 + 75, y + 75))
            assert red == green == blue
            assert len(set(picture.getpixel((x + 156 + 5, y + 5)))) > 1


@pytest.mark.parametrize("examples", [[], [example(names=())], [example(), example(names=("B", "A"))]])
def test_nothing_to_compare(tmp_path, examples):
    with pytest.raises(InputError, match="same methods"):
        comparison(examples, tmp_path / "x.png")
