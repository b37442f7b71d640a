"""A grid of optimized images: what is drawn, and where it is transparent."""

import numpy as np
import pytest
import torch
from PIL import Image

from lit_coiba.core.errors import InputError
from lit_coiba.feature_visualization.visualizations import Visualizations
from lit_coiba.pictures.page import note_of
from lit_coiba.pictures.visualization_grid import SIDE, on_white, visualization_grid


def found(count=3, size=(SIDE, SIDE), names=None):
    images = torch.full((count, 3, *size), 0.25)
    images[:, 0, :, : size[1] // 2] = 0.75  # the left half is redder
    importance = torch.zeros(count, *size)
    importance[:, : size[0] // 2] = 2.0  # the upper half counts
    names = tuple(f"unit {k}" for k in range(count)) if names is None else names
    return Visualizations(images, importance, torch.arange(2.0).expand(count, -1), torch.zeros(count), names)


def colors(file):
    return np.asarray(Image.open(file).convert("RGB"))


def test_alpha_is_clipped_at_the_80th_percentile():
    importance = torch.arange(1.0, 101.0).view(1, 10, 10)
    one = Visualizations(torch.zeros(1, 3, 10, 10), importance, torch.zeros(1, 1), torch.zeros(1), ("a",))
    assert torch.allclose(one.alpha[0], (importance[0] / 80).clamp_max(1))
    few = torch.zeros(1, 10, 10)
    few[0, 0, :2] = torch.tensor([1.0, 4.0])
    assert torch.equal(one._replace(importance=few).alpha[0, 0, :3], torch.tensor([0.25, 1.0, 0.0]))
    assert one._replace(importance=0 * few).alpha.abs().max() == 0


def test_contrast_is_stretched_between_percentiles():
    values = torch.arange(300.0).view(1, 3, 10, 10) / 1000 + 0.2
    one = Visualizations(values, torch.ones(1, 10, 10), torch.zeros(1, 1), torch.zeros(1), ("a",))
    low, high = np.sort(values.numpy().ravel())[[2, 296]]
    assert np.allclose(one.stretched(), np.clip((values.numpy() - low) / (high - low), 0, 1), atol=1e-5)
    assert one._replace(images=torch.full_like(values, 0.5)).stretched().isfinite().all()


def test_white_shows_through():
    pixels = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    alpha = torch.tensor([0.0, 1.0]).view(2, 1, 1).expand(-1, 4, 4)
    assert (on_white(pixels, alpha)[0] == 1).all()
    assert torch.allclose(on_white(pixels, alpha)[1], pixels[1])


def test_each_image_stands_beside_itself_with_its_opacity(tmp_path):
    file = visualization_grid(found(1), tmp_path / "new" / "grid.png")
    drawn = colors(file)
    left, right = drawn[36 : 36 + SIDE, 16 : 16 + SIDE], drawn[36 : 36 + SIDE, 20 + SIDE : 20 + 2 * SIDE]
    assert (left[:, : SIDE // 2] == (255, 0, 0)).all()
    assert (left[:, SIDE // 2 :] == 0).all()
    assert (right[: SIDE // 2] == left[: SIDE // 2]).all()
    assert (right[SIDE // 2 :] == 255).all()
    assert note_of(file) == ""


def test_methods_stand_side_by_side_and_rows_fill(tmp_path):
    one = colors(visualization_grid(found(3), tmp_path / "one.png", columns=3, title="model"))
    two = colors(visualization_grid({"MACO": found(3), "Fourier": found(3)}, tmp_path / "two.png", columns=1))
    narrow = colors(visualization_grid(found(3, (96, 192)), tmp_path / "narrow.png", columns=8))
    assert one.shape[1] > two.shape[1] > narrow.shape[1] / 2
    assert two.shape[0] > 3 * SIDE
    assert narrow.shape[0] < SIDE


def test_equal_results_give_equal_bytes(tmp_path):
    files = [visualization_grid(found(2), tmp_path / f"{k}.png") for k in range(2)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_names_of_any_kind_are_drawn(tmp_path):
    names = ("<script>$x^2$", "a" * 300, "\x00\u6f22")
    assert visualization_grid(found(3, names=names), tmp_path / "grid.png").stat().st_size > 1000


@pytest.mark.parametrize("given", [{}, {"a": found(2), "b": found(3)}, found(0)])
def test_nothing_to_draw_is_refused(given, tmp_path):
    with pytest.raises(InputError, match="found has no images, or images of different objectives"):
        visualization_grid(given, tmp_path / "grid.png")
    assert not (tmp_path / "grid.png").exists()
