"""Image files as people have them: damaged, strange, transparent, deep, turned, tiny."""

import io
import os
import struct
import warnings
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image, ImageOps

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data import ImageFolder
from lit_coiba.data.blocks import BlockDataset
from lit_coiba.data.files.image_file import image_size, read_image, read_mask
from lit_coiba.data.files.mask_file import mask_of
from lit_coiba.data.files.mat_file import read_mat

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8))
ENDINGS = ("png", "jpg", "jfif", "jpe", "gif", "bmp", "tif", "webp", "ppm", "avif", "jp2", "j2k")


def saved(path, image=NOISE, **options):
    image.save(path, format="JPEG" if path.suffix in (".jfif", ".jpe") else None, **options)
    return path


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def deep_png(values):
    """A PNG of 16 bits from ``(H, W, C)``."""
    height, width, channels = values.shape
    color = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_a_png_with_damaged_data_is_refused_wherever_the_damage_is(tmp_path):
    """reliability.md 3: Pillow skips IDAT's checksums."""
    path = saved(tmp_path / "a.png")
    whole = path.read_bytes()
    start = whole.index(b"IDAT") + 4
    for at in range(start, len(whole) - 16, 97):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(OSError, match="wrong checksum in 'IDAT'"):
            read_image(path)
    path.write_bytes(whole[:-12])
    with pytest.raises(OSError, match="image file is truncated"):
        read_image(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_picture_that_lacks_its_end_is_refused_and_one_with_gigabytes_behind_it_is_read_in_no_time(ending, tmp_path):
    """reliability.md 3 and 5: the mark of the end; a JPEG followed by 3 GB of zeros."""
    path = saved(tmp_path / f"a.{ending}")
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    with pytest.raises(OSError, match=r"truncated|cannot be decoded"):
        read_image(path)
    path.write_bytes(whole)
    expected = np.asarray(read_image(path))
    os.truncate(path, 3 << 30)
    assert np.array_equal(np.asarray(read_image(path)), expected)
    assert image_size(path) == (20, 30)


def test_lengths_in_a_file_are_not_believed(tmp_path):
    """A PNG whose text says that it has 2 GB, a GIF and a WebP that end early, an AVIF of parts without a length."""
    path = saved(tmp_path / "a.png")
    whole = path.read_bytes()
    claims = whole[:33] + struct.pack(">I", (1 << 31) - 1) + b"tEXt" + whole[33:]
    path.write_bytes(claims)
    os.truncate(path, 3 << 30)
    for read in (read_image, image_size):
        with pytest.raises(OSError, match="cannot be decoded"):
            read(path)


def test_a_header_that_asks_for_memory_which_the_file_cannot_fill_is_refused(tmp_path):
    path = saved(tmp_path / "a.gif")
    whole = bytearray(path.read_bytes())
    whole[6:10] = struct.pack("<HH", 12_000, 12_000)
    path.write_bytes(whole)
    for read in (read_image, image_size):
        with pytest.raises(OSError, match=r"it says that it has 12000 x 12000 pixels, in \d+ bytes"):
            read(path)


@pytest.mark.parametrize("mode", ["pipe", "loop", "nowhere", "long", "folder"])
def test_what_is_no_file_is_a_failure_of_one_image(mode, tmp_path):
    """reliability.md 4 and 7: a link to a pipe was waited for; a link to itself ended the run."""
    root = tmp_path / "im"
    root.mkdir()
    for name in "bc":
        saved(root / f"{name}.png")
    name = "a.png"
    if mode == "pipe":
        os.mkfifo(tmp_path / "pipe")
        (root / name).symlink_to(tmp_path / "pipe")
    elif mode == "loop":
        (root / name).symlink_to(name)
    elif mode == "nowhere":
        (root / name).symlink_to(tmp_path / "nothing.png")
    elif mode == "long":
        name = "a" * 300 + ".png"
    else:
        (root / name).mkdir()
    table = tmp_path / "t.csv"
    table.write_text(f"file,label\n{name},0\nb.png,1\nc.png,0\n")
    sources = [ImageFolder(str(root), csv=str(table))]
    if mode not in ("long", "folder"):
        sources.append(ImageFolder(str(root)))
    for data in sources:
        batch = BlockDataset(data.dataset("predict"), Preprocessing((8, 8)), 4)[0]
        assert batch.ids == ("b.png", "c.png")
        assert [failure.id for failure in batch.failures] == [name]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_once(orientation, tmp_path):
    """fidelity.md: TIFFs with an orientation were turned twice, and boxes and masks went wrong with them."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.tif", exif=exif)
    with Image.open(path) as image:
        expected = ImageOps.exif_transpose(image)
    assert np.array_equal(np.asarray(read_image(path)), np.asarray(expected))
    assert image_size(path) == (expected.height, expected.width)
    saved(tmp_path / "mask.png", Image.new("L", expected.size, 1))
    assert mask_of(path, tmp_path / "mask.png").shape == (expected.height, expected.width)


def test_a_mask_with_an_orientation_is_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    mask = Image.new("L", (3, 2))
    mask.putpixel((0, 0), 7)
    saved(tmp_path / "m.png", mask, exif=exif)
    assert read_mask(tmp_path / "m.png").tolist() == [[0, 7], [0, 0], [0, 0]]


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif", "a.avif", "a.gif"])
def test_transparent_pixels_are_white(name, tmp_path):
    """use.md, pictures 8: a toucan on black."""
    image = Image.new("RGBA", (8, 4), (0, 0, 0, 0))
    image.paste((0, 200, 0, 255), (0, 0, 4, 4))
    path = saved(tmp_path / name, image, **({"lossless": True} if name == "a.webp" else {}))
    found = np.asarray(read_image(path)).astype(int)
    assert abs(found[1, 6] - 255).max() <= 3
    assert abs(found[1, 1] - (0, 200, 0)).max() <= 3


def test_half_transparent_gray_and_a_key_color_are_laid_on_white(tmp_path):
    saved(tmp_path / "la.png", Image.new("LA", (2, 2), (0, 51)))
    assert np.unique(np.asarray(read_image(tmp_path / "la.png"))).tolist() == [204]
    saved(tmp_path / "key.png", Image.fromarray(np.array([[9, 8]], dtype=np.uint8)), transparency=9)
    assert np.asarray(read_image(tmp_path / "key.png"))[0, :, 0].tolist() == [255, 8]
    deep = Image.fromarray(np.array([[257, 514]], dtype=np.uint16))
    saved(tmp_path / "deep.png", deep, transparency=257)
    assert np.asarray(read_image(tmp_path / "deep.png"))[0, :, 0].tolist() in ([255, 2], [1, 2])  # by Pillow's version


def test_opaque_pictures_are_as_they_were(tmp_path):
    path = saved(tmp_path / "a.png", NOISE.convert("RGBA"))
    assert np.array_equal(np.asarray(read_image(path)), np.asarray(NOISE))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_deep_files_of_a_small_range_are_told_once_and_scaled_by_maximum(channels, tmp_path):
    """models_and_data.md K: 12-bit files in 16 bits were shown almost black."""
    values = np.full((6, 5, channels), 4095, dtype=np.uint16)
    if channels in (2, 4):
        values[..., -1] = 65535
    (tmp_path / "a.png").write_bytes(deep_png(values))
    (tmp_path / "b.png").write_bytes(deep_png(np.where(values == 4095, 1000, values)))
    data = ImageFolder(str(tmp_path))
    with pytest.warns(UserWarning, match=r"largest value in the 2 .* is 4095 .*data.maximum, such as 4095"):
        dataset = data.dataset("predict")
    data.dataset("predict")  # where a warning would be an error
    assert np.asarray(dataset.image(0)).max() <= 16
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = ImageFolder(str(tmp_path), maximum=4095).dataset("predict")
    assert np.unique(np.asarray(dataset.image(0))).tolist() == [255]
    assert np.unique(np.asarray(dataset.image(1))).tolist() == [62]
    with pytest.raises(OSError, match=r"its values are \d+ to 4095, and maximum is 2000: raise it"):
        ImageFolder(str(tmp_path), maximum=2000).dataset("predict").image(0)


def test_deep_files_of_the_whole_range_and_shallow_ones_are_told_nothing(tmp_path):
    saved(tmp_path / "a.png", Image.fromarray(np.array([[0, 50000]], dtype=np.uint16)))
    saved(tmp_path / "b.png")
    assert np.asarray(ImageFolder(str(tmp_path)).dataset("predict").image(0)).max() == 195


@pytest.mark.parametrize("maximum", [0, -1, float("nan"), float("inf")])
def test_a_maximum_that_makes_no_sense_is_refused(maximum, tmp_path):
    with pytest.raises(InputError, match=r"maximum is .*: give the value of white"):
        ImageFolder(str(tmp_path), maximum=maximum)


def test_floating_point_files_are_scaled_by_maximum(tmp_path):
    saved(tmp_path / "a.tif", Image.fromarray(np.array([[0.0, 0.5, 1.0]], dtype=np.float32)))
    with pytest.raises(OSError, match="give the value of white as maximum"):
        read_image(tmp_path / "a.tif")
    assert np.asarray(read_image(tmp_path / "a.tif", 1.0))[0, :, 0].tolist() == [0, 128, 255]


def test_tiffs_of_several_pages_or_bands_are_refused_with_that_word(tmp_path):
    """models_and_data.md K."""
    saved(tmp_path / "pages.tif", save_all=True, append_images=[NOISE, NOISE])
    with pytest.raises(OSError, match="it is a TIFF of 3 pages"):
        read_image(tmp_path / "pages.tif")
    path = saved(tmp_path / "bands.tif", NOISE.convert("RGBA"))
    whole = path.read_bytes()
    tag = struct.pack("<HHI", 338, 3, 1)  # what the fourth band is: 0 = nobody knows
    at = whole.index(tag) + 8
    path.write_bytes(whole[:at] + b"\0\0" + whole[at + 2 :])
    with pytest.raises(OSError, match="it is a TIFF of 4 bands"):
        read_image(path)
    for image in (NOISE, NOISE.convert("RGBA"), NOISE.convert("CMYK"), NOISE.convert("L"), NOISE.convert("LA")):
        assert read_image(saved(tmp_path / "fine.tif", image)).size == NOISE.size


def test_pictures_of_a_few_pixels_are_told_once(tmp_path):
    """use.md, pictures 10: 1 x 1 and 425 x 6 pixels were blown up and explained without a word."""
    saved(tmp_path / "a.png", Image.new("RGB", (425, 6)))
    saved(tmp_path / "b.png", Image.new("RGB", (1, 1)))
    saved(tmp_path / "c.png", Image.new("RGB", (300, 300)))
    blocks = BlockDataset(ImageFolder(str(tmp_path)).dataset("predict"), Preprocessing(), 3)
    with pytest.warns(UserWarning, match=r"such as a.png of 425 x 6 pixels \(43 times\)"):
        blocks[0]
    blocks[0]  # where a warning would be an error


@pytest.mark.parametrize("name", ["a.avif", "a.jfif", "a.jpe", "a.jp2", "a.png"])
def test_one_picture_is_a_root(name, tmp_path):
    """use.md, runs 5."""
    path = saved(tmp_path / name)
    saved(tmp_path / "other.png")
    dataset = ImageFolder(str(path)).dataset("predict")
    assert (dataset.ids, dataset.labels, dataset.image(0).size) == ([name], [-1], (30, 20))


def test_a_root_that_is_no_picture_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"a.txt is not a folder, and no image either"):
        ImageFolder(str(tmp_path / "a.txt"))
    with pytest.raises(InputError, match="pipe is not a folder"):
        ImageFolder(str(tmp_path / "pipe"))
    with pytest.raises(InputError, match="the files in a csv are relative to one"):
        ImageFolder(str(saved(tmp_path / "a.png")), csv="t.csv")


def test_a_matlab_file_that_ended_the_process_is_refused(tmp_path):
    """reliability.md 5: scipy reads outside its buffer. Every byte is set to 255 in turn."""
    scipy = pytest.importorskip("scipy.io")
    stream = io.BytesIO()
    names = np.array([["AM General Hummer SUV 2000", "Ram C/V 2012"]], dtype=object)
    scipy.savemat(stream, {"class_names": names})
    whole, path = stream.getvalue(), tmp_path / "cars_meta.mat"
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
        with suppress(InputError):
            assert isinstance(read_mat(path, ["class_names"])[0], list)
