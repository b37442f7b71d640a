"""Pictures of runs are decoded within bounds, and maps are drawn as they are."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from lit_coiba.explorer.media import SIDE, Media, decoded, map_values
from lit_coiba.explorer.site_folder import PartFiles


def encoded(image, kind="WEBP"):
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


@pytest.fixture
def media(tmp_path):
    return Media(PartFiles(tmp_path), "00003")


def test_a_picture_is_encoded_anew_and_small(media, tmp_path):
    content = encoded(Image.new("RGB", (800, 400), "red"), "JPEG")
    found = media.picture(content, "image-0", "a")
    assert (found.src, found.width, found.height) == ("media/00003/image-0.webp", SIDE, SIDE // 2)
    with Image.open(tmp_path / found.src) as image:
        assert (image.format, image.size) == ("WEBP", (SIDE, SIDE // 2))


def test_nothing_but_pixels_is_kept(media, tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "<script>secret</script>"
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG", exif=exif, comment=b"secret")
    assert b"secret" in out.getvalue()
    found = media.picture(out.getvalue(), "image-0", "a")
    assert b"secret" not in (tmp_path / found.src).read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg onload='alert(1)'/>",
        encoded(Image.new("RGB", (8, 8)), "GIF"),
        encoded(Image.new("RGB", (8, 8)))[:30],
        encoded(Image.new("1", (5000, 1)), "PNG"),
        encoded(Image.new("1", (20000, 20000)), "PNG"),
    ],
    ids=["nothing", "svg", "another format", "half of one", "wide", "bomb"],
)
def test_what_is_no_picture_is_left_out_with_a_warning(media, tmp_path, content):
    with pytest.raises(ValueError):  # noqa: PT011
        decoded(content)
    with pytest.warns(UserWarning, match="a picture of 00003 is damaged and is left out"):
        assert media.picture(content, "image-0", "a") is None
    assert media.picture(content, "image-1", "a") is None  # one warning is enough
    assert not list(tmp_path.rglob("*.webp"))


@pytest.mark.parametrize("shape", [(1, 1), (4, 7), (28, 28)])
def test_values_of_a_small_map_are_exact_to_half_a_level(shape):
    values = torch.from_numpy(np.random.default_rng(0).normal(0, 3, shape))
    found = map_values(values)
    levels = np.frombuffer(base64.b64decode(found.text), np.uint8).reshape(found.grid)
    back = found.low + (found.high - found.low) * levels / 255
    assert found.grid == shape
    assert np.abs(back - values.numpy()).max() <= (found.high - found.low) / 510 + 1e-9


def test_values_of_a_large_map_are_means_of_its_cells():
    values = torch.arange(56.0 * 56).reshape(56, 56)
    found = map_values(values)
    assert found.grid == (28, 28)
    assert found.low == pytest.approx(values[:2, :2].mean().item())
    assert found.high == pytest.approx(values[-2:, -2:].mean().item())


def test_values_that_are_no_numbers_count_as_nothing():
    found = map_values(torch.tensor([[float("nan"), 1.0], [2.0, float("inf")]]))
    assert (found.low, found.high) == (1.0, 2.0)
    assert list(base64.b64decode(found.text)) == [0, 0, 255, 255]
    assert map_values(torch.full((2, 2), float("nan"))).low == 0.0


def test_an_overlay_is_transparent_where_a_map_says_nothing(media, tmp_path):
    picture, scale = media.overlay(torch.tensor([[0.0, 0.5], [1.0, 0.25]]), "heat-0-0", "a")
    assert not scale.signed
    with Image.open(tmp_path / picture.src) as image:
        alpha = np.array(image.convert("RGBA"))[..., 3]
    assert image.size == (2, 2)
    assert alpha[0, 0] == 0
    assert alpha[0, 0] < alpha[1, 1] < alpha[0, 1] < alpha[1, 0] <= 230


def test_the_signs_of_a_map_have_colors_of_their_own(media, tmp_path):
    picture, scale = media.overlay(torch.tensor([[-1.0, 0.0, 1.0]]), "heat-0-0", "a")
    assert scale.signed
    with Image.open(tmp_path / picture.src) as image:
        (negative, none, positive) = np.array(image.convert("RGBA"))[0].tolist()
    assert negative[2] > negative[0]  # blue
    assert positive[0] > positive[2]  # red
    assert none[3] <= 10 < negative[3]


def test_a_large_map_is_drawn_on_at_most_112_cells(media):
    picture, _ = media.overlay(torch.rand(448, 224), "heat-0-0", "a")
    assert (picture.width, picture.height) == (56, 112)
