import io

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from lit_coiba.data.files.image_file import image_size, read_image

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8))
FORMATS = {
    "baseline.jpg": {},
    "progressive.jpg": {"progressive": True},
    "a.png": {},
    "a.gif": {},
    "a.bmp": {},
    "a.tif": {},
    "lzw.tif": {"compression": "tiff_lzw"},
    "a.webp": {},
    "a.ppm": {},
}


def encoded(image, name, **options):
    stream = io.BytesIO()
    image.save(stream, format=Image.registered_extensions()[name[name.rindex(".") :]], **options)
    return stream.getvalue()


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_whole_and_refused_cut_off(name, tmp_path):
    path = tmp_path / name
    whole = encoded(NOISE, name, **FORMATS[name])
    path.write_bytes(whole)
    image = read_image(path)
    assert (image.mode, image.size) == ("RGB", NOISE.size)
    assert image_size(path) == (37, 53)
    for percent in (0, 1, 10, 50, 90, 98):
        path.write_bytes(whole[: len(whole) * percent // 100])
        with pytest.raises(OSError, match=r"^the (file is (empty|not an image)|image cannot be decoded: \w)"):
            read_image(path)


@pytest.mark.parametrize("name", ["baseline.jpg", "progressive.jpg"])
def test_a_jpeg_that_lacks_its_last_byte_or_ends_in_zeros_is_refused(name, tmp_path):
    path = tmp_path / name
    whole = encoded(NOISE, name, **FORMATS[name])
    for torn in (whole[:-1], whole[: len(whole) // 2] + bytes(len(whole) // 2)):
        path.write_bytes(torn)
        with pytest.raises(OSError, match="truncated"):
            read_image(path)


def test_pillows_tolerance_of_truncated_files_is_not_inherited_and_restored(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    path = tmp_path / "torn.jpg"
    path.write_bytes(encoded(NOISE, "a.jpg")[:-200])
    with pytest.raises(OSError, match="truncated"):
        read_image(path)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@pytest.mark.parametrize(("mode", "value"), [("1", 255), ("L", 77), ("LA", 77), ("RGBA", 77), ("CMYK", 77), ("P", 77)])
def test_modes_become_rgb(mode, value, tmp_path):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    source = Image.new("L", (5, 4), value).convert("RGB" if mode == "CMYK" else "L").convert(mode)
    source.save(path)
    assert np.unique(np.asarray(read_image(path))).tolist() == [value]


def test_a_palette_with_alpha_per_entry_is_read_without_a_warning(tmp_path):
    Image.new("P", (4, 4), 1).save(tmp_path / "a.png", transparency=bytes([0, 128]))
    assert read_image(tmp_path / "a.png").mode == "RGB"


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_sixteen_bits_are_scaled_not_clipped(name, tmp_path):
    Image.fromarray(np.array([[0, 257, 257 * 100, 65535]], dtype=np.uint16)).save(tmp_path / name)
    assert np.asarray(read_image(tmp_path / name))[0, :, 0].tolist() == [0, 1, 100, 255]


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pixels_without_a_range_are_refused(dtype, tmp_path):
    Image.fromarray(np.ones((3, 3), dtype=dtype)).save(tmp_path / "a.tif")
    with pytest.raises(OSError, match="no defined range: save the image with 8 or 16 bits"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied(orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    NOISE.save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        expected = ImageOps.exif_transpose(image)
    assert np.array_equal(np.asarray(read_image(tmp_path / "a.png")), np.asarray(expected))
    assert image_size(tmp_path / "a.png") == (expected.height, expected.width)


def test_a_broken_exif_block_does_not_spoil_the_picture(tmp_path):
    NOISE.save(tmp_path / "a.jpg", exif=b"Exif\0\0garbage that is no TIFF header")
    assert read_image(tmp_path / "a.jpg").size == NOISE.size


def test_a_decompression_bomb_is_refused_and_a_large_picture_read_in_silence(tmp_path, monkeypatch):
    NOISE.save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 37 * 53 // 2 - 1)
    with pytest.raises(OSError, match="larger than Pillow decodes safely"):
        read_image(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 37 * 53 - 1)  # here Pillow only warns
    assert read_image(tmp_path / "a.png").size == NOISE.size


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"<html>404</html>", "the file is not an image of a supported format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "the file is not an image of a supported format"),
    ],
)
def test_what_is_not_an_image_is_refused_whatever_its_name(content, reason, tmp_path):
    (tmp_path / "a.jpg").write_bytes(content)
    for read in (read_image, image_size):
        with pytest.raises(OSError, match=f"^{reason}"):
            read(tmp_path / "a.jpg")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^the file does not exist$"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(OSError, match="a folder, not a regular file"):
        read_image(tmp_path)
