import numpy as np
import pytest
import torch
from PIL import Image

from lit_coiba.data.files.map_file import read_map

LEVELS = np.array([[0, 1, 2], [3, 128, 255]], dtype=np.uint8)


def saved(tmp_path, values, name="map.png", mode=None, **options):
    image = Image.fromarray(values)
    (image if mode is None else image.convert(mode)).save(tmp_path / name, **options)
    return tmp_path / name


@pytest.mark.parametrize("mode", [None, "RGB", "P"])
def test_eight_bits_are_shares_of_white(mode, tmp_path):
    found = read_map(saved(tmp_path, LEVELS, mode=mode), 2, 3)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), LEVELS / 255, rtol=1e-6)


def test_sixteen_bits_are_shares_of_white(tmp_path):
    values = np.array([[0, 1, 700], [30_000, 65_534, 65_535]], dtype=np.uint16)
    np.testing.assert_allclose(read_map(saved(tmp_path, values), 2, 3).numpy(), values / 65_535, rtol=1e-6)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_is_read_to_its_own_loss(mode, tmp_path):
    smooth = np.linspace(0, 255, 32, dtype=np.uint8)[None].repeat(16, 0)
    found = read_map(saved(tmp_path, smooth, "map.jpg", mode, quality=95), 16, 32)
    np.testing.assert_allclose(found.numpy(), smooth / 255, atol=0.02)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_turned_back(orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    values = np.arange(12, dtype=np.uint8).reshape(3, 4)
    path = saved(tmp_path, values, exif=exif)
    with Image.open(path) as opened:
        from PIL import ImageOps

        upright = np.asarray(ImageOps.exif_transpose(opened))
    np.testing.assert_allclose(read_map(path, *upright.shape).numpy() * 255, upright, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int32", "bool"])
def test_numbers_are_taken_as_they_are(dtype, tmp_path):
    values = np.array([[0, 1, 0], [2, 7, 0.5]]).astype(dtype)
    np.save(tmp_path / "map.npy", values)
    assert read_map(tmp_path / "map.npy", 2, 3).tolist() == values.astype(float).tolist()


def test_another_resolution_is_resized_bilinearly(tmp_path):
    ramp = np.arange(8, dtype=np.float32)[None].repeat(4, 0)
    np.save(tmp_path / "map.npy", ramp)
    found = read_map(tmp_path / "map.npy", 40, 80)
    centers = (np.arange(80) + 0.5) / 10 - 0.5
    np.testing.assert_allclose(found.numpy(), np.clip(centers, 0, 7)[None].repeat(40, 0), atol=1e-5)
    assert read_map(tmp_path / "map.npy", 2, 4).shape == (2, 4)
    assert read_map(tmp_path / "map.npy", 427, 854).shape == (427, 854)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((7, 7), np.float32), r"map.npy has 7 x 7 pixels, but its image has 64 x 48: give a map of the same"),
        (np.array([[0, np.nan], [1, 1]]), r"map.npy has NaN: give finite values of 0 or more"),
        (np.array([[0, np.inf], [1, 1]]), r"map.npy has values from 0 to inf: give finite"),
        (np.array([[0, -0.25], [1, 1]]), r"map.npy has values from -0.25 to 1: give finite"),
        (np.zeros((2, 2, 2)), r"map.npy cannot be read: its shape is \(2, 2, 2\), and a map has rows and columns"),
        (np.zeros((0, 2)), r"map.npy cannot be read: its shape is"),
        (np.array([["a"]]), r"map.npy cannot be read: it is no array of such numbers"),
        (np.array([[{}]]), r"map.npy cannot be read: it is no array of numbers"),
    ],
)
def test_what_is_no_map_of_the_image_is_refused(values, message, tmp_path):
    np.save(tmp_path / "map.npy", values, allow_pickle=True)
    size = (48, 64) if values.shape == (7, 7) else (2, 2)
    with pytest.raises(OSError, match=f"^the importance map .*{message}"):
        read_map(tmp_path / "map.npy", *size)


@pytest.mark.parametrize(
    ("color", "message"), [((255, 0, 0), "it is in color, and colors"), ((9, 9, 9, 100), "it is transparent")]
)
def test_colors_have_no_order(color, message, tmp_path):
    Image.new("RGB" if len(color) == 3 else "RGBA", (2, 2), color).save(tmp_path / "map.png")
    with pytest.raises(OSError, match=message):
        read_map(tmp_path / "map.png", 2, 2)


@pytest.mark.parametrize("name", ["map.png", "map.npy"])
def test_a_torn_file_is_refused(name, tmp_path):
    path = tmp_path / name
    if name == "map.npy":
        np.save(path, np.random.default_rng(0).random((20, 30)))
    else:
        saved(tmp_path, np.random.default_rng(0).integers(0, 255, (20, 30), dtype=np.uint8))
    whole = path.read_bytes()
    for share in (0, 0.1, 0.5, 0.95):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(OSError, match="cannot be read"):
            read_map(path, 20, 30)
