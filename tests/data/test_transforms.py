import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from timm.data import create_transform
from torch.nn.functional import grid_sample

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data.keypoints import Keypoints
from lit_coiba.data.transforms import Transform

RECIPES = [
    Preprocessing(),
    Preprocessing((168, 168), 1.0, "bicubic"),
    Preprocessing((64, 64), 0.9, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    Preprocessing((32, 32), 0.95, "nearest"),
    Preprocessing((48, 80), 0.9, "bicubic"),
    Preprocessing((80, 48), 1.0, "bilinear"),
    Preprocessing((40, 40), 1.25, "bilinear"),  # the crop is larger than the picture and is padded
]


def noise(width, height):
    pixels = torch.randint(256, (height, width, 3), generator=torch.Generator().manual_seed(width * height))
    return Image.fromarray(pixels.to(torch.uint8).numpy())


def timm_transform(recipe):
    return create_transform(
        (3, *recipe.size),
        is_training=False,
        interpolation=recipe.interpolation,
        mean=recipe.mean,
        std=recipe.std,
        crop_pct=recipe.crop_pct,
    )


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
@pytest.mark.parametrize("size", [(64, 64), (333, 251), (120, 301), (17, 23), (168, 168)])
def test_equals_timm(recipe, size):
    image = noise(*size)
    torch.testing.assert_close(Transform(recipe)(image), timm_transform(recipe)(image), rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from(RECIPES[2:]))
def test_output_has_the_size_asked_for_whatever_the_picture(width, height, recipe):
    assert Transform(recipe).pixels(Image.new("RGB", (width, height))).shape == (3, *recipe.size)


def test_a_picture_of_the_right_size_passes_untouched():
    transform = Transform(Preprocessing((30, 50), 1.0))
    image = noise(50, 30)
    assert transform.keeps(30, 50)
    assert not transform.keeps(50, 30)
    expected = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(30, 50, 3).permute(2, 0, 1)
    torch.testing.assert_close(transform.pixels(image), expected, rtol=0, atol=0)


def test_a_batch_is_normalised_as_its_images_are():
    transform = Transform(RECIPES[2])
    images = [noise(70, 80), noise(90, 64)]
    batch = transform.normalize(torch.stack([transform.pixels(image) for image in images]))
    assert batch.is_contiguous()
    for one, image in zip(batch, images):
        torch.testing.assert_close(one, transform(image), rtol=0, atol=0)


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
@pytest.mark.parametrize("size", [(101, 77), (60, 200), (64, 64)])
def test_a_mask_goes_through_the_same_geometry(recipe, size):
    width, height = size
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[height // 5 : height // 2, width // 3 : width - width // 4] = True
    as_picture = Image.fromarray((mask * 255).to(torch.uint8).numpy()).convert("RGB")
    nearest = Preprocessing(recipe.size, recipe.crop_pct, "nearest", (0, 0, 0), (1, 1, 1))
    region = Transform(recipe).region(mask)
    assert region.dtype == torch.bool
    torch.testing.assert_close(region, Transform(nearest)(as_picture)[0] == 1)


def points(*xy, hidden=()):
    visible = torch.tensor([index not in hidden for index in range(len(xy))])
    return Keypoints(tuple("abcdefgh"[: len(xy)]), torch.tensor(xy, dtype=torch.float32), visible)


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
@pytest.mark.parametrize("size", [(101, 77), (60, 200), (64, 64), (17, 23)])
def test_a_keypoint_stays_on_what_it_points_at(recipe, size):
    """The picture's red channel is the column and its green one the row, so model input tells where it comes from."""
    width, height = size
    columns, rows = torch.arange(width).expand(height, -1), torch.arange(height)[:, None].expand(-1, width)
    picture = Image.fromarray(torch.stack([columns, rows, torch.ones_like(rows)], -1).to(torch.uint8).numpy())
    transform = Transform(Preprocessing(recipe.size, recipe.crop_pct, "bilinear"))
    pixels = transform.pixels(picture).float()
    found = points(
        *((width * a / 8, height * b / 8) for a, b in [(1, 4), (4, 1), (4, 4), (7, 4), (4, 7), (5, 3), (2, 6)])
    )
    moved = transform.keypoints(found, height, width)
    compared = 0
    shown = pixels[:2, pixels[2] == 1] + 0.5  # the middle of a pixel, in pixels of the picture
    for xy, place, visible in zip(found.xy, moved.xy, moved.visible):
        if visible:
            grid = 2 * place / torch.tensor(recipe.size[::-1]) - 1
            there = grid_sample(pixels[None], grid.view(1, 1, 1, 2), align_corners=False).flatten()
            if there[2] > 0.999:  # else it lies in the outer half of a pixel at the edge
                torch.testing.assert_close(there[:2] + 0.5, xy, rtol=0, atol=0.6)  # levels are rounded
                compared += 1
        else:
            assert ((xy < shown.amin(1) + 1) | (xy > shown.amax(1) - 1)).any()
    assert compared >= 3


def test_keypoints_are_scaled_then_cut():
    transform = Transform(Preprocessing((10, 10), 1.0))
    moved = transform.keypoints(points((20, 10), (10, 0), (30, 10), (9, 10), (15, 5), hidden=[4]), height=20, width=40)
    assert moved.names == ("a", "b", "c", "d", "e")
    assert moved.xy.tolist() == [[5, 5], [0, 0], [10, 5], [-0.5, 5], [2.5, 2.5]]
    assert moved.visible.tolist() == [True, True, False, False, False]  # the last one never was


def test_keypoints_of_a_picture_that_is_padded():
    moved = Transform(Preprocessing((9, 9), 1.5)).keypoints(points((0, 0), (6, 6)), height=6, width=6)
    assert moved.xy.tolist() == [[1, 1], [7, 7]]  # 3 pixels too few: one before, two behind


def test_a_grey_picture_is_taken_as_rgb():
    assert Transform(RECIPES[0]).pixels(Image.new("L", (30, 30), 9)).unique().tolist() == [9]


def test_a_picture_too_long_to_resize_is_refused():
    with pytest.raises(InputError, match="1 x 1000000 pixels is too elongated"):
        Transform(RECIPES[0]).pixels(Image.new("RGB", (1, 1_000_000)))
