"""Cells as rectangles of the picture, and crops."""

import io

import pytest
import torch
from PIL import Image

from lit_coiba.prototypes.patches import Box, around, cell_box, cut, decode, encode


@pytest.mark.parametrize(("grid", "size"), [((7, 7), (224, 224)), ((3, 5), (64, 33)), ((12, 12), (168, 168))])
def test_cells_tile_the_picture(grid, size):
    covered = torch.zeros(size)
    for cell in range(grid[0] * grid[1]):
        box = cell_box(cell, grid, size)
        covered[box.top : box.bottom, box.left : box.right] += 1
    assert (covered == 1).all()


def test_a_cell_is_where_its_activation_is():
    """A map with one hot cell, enlarged without interpolation, is hot in the box."""
    hot = torch.zeros(4, 6)
    hot[2, 5] = 1
    large = hot.repeat_interleave(8, 0).repeat_interleave(8, 1)
    box = cell_box(2 * 6 + 5, (4, 6), (32, 48))
    assert large[box.top : box.bottom, box.left : box.right].min() == 1
    assert large.sum() == 64


@pytest.mark.parametrize("cell", range(49))
def test_a_window_holds_its_cell_and_stays_inside(cell):
    box = cell_box(cell, (7, 7), (224, 224))
    window = around(box, (224, 224))
    assert (window.bottom - window.top, window.right - window.left) == (96, 96)
    assert 0 <= window.top <= box.top < box.bottom <= window.bottom <= 224
    assert 0 <= window.left <= box.left < box.right <= window.right <= 224


def test_a_window_is_no_larger_than_the_picture():
    assert around(Box(0, 0, 32, 32), (64, 40)) == Box(0, 0, 64, 40)


def test_crops_survive_the_file():
    pixels = torch.zeros(3, 40, 60, dtype=torch.uint8)
    pixels[0, :, 30:] = 200
    part = cut(pixels, Box(8, 16, 40, 48))
    read = decode(encode(part))
    assert read.shape == part.shape == (3, 32, 32)
    assert (read.int() - part.int()).abs().max() < 12


def test_only_jpeg_of_a_sane_size_is_read():
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG")
    with pytest.raises(OSError, match="cannot identify"):
        decode(out.getvalue())
    large = torch.zeros(3, 1, 5000, dtype=torch.uint8)
    with pytest.raises(OSError, match="5000 x 1 pixels"):
        decode(encode(large))
