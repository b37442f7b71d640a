import numpy as np
import pytest
from PIL import Image

from lit_coiba.data.files.mask_file import mask_of

VALUES = np.array([[0, 1, 2], [3, 128, 255]], dtype=np.uint8)


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (3, 2)).save(tmp_path / "x.jpg")
    return tmp_path / "x.jpg"


@pytest.mark.parametrize("mode", ["L", "P", "LA", "RGB", "RGBA"])
def test_values_are_levels_or_indices(mode, picture, tmp_path):
    image = Image.fromarray(VALUES)
    if mode == "P":
        image.putpalette([channel for level in range(256) for channel in (255 - level, 0, level)])
    else:
        image = image.convert(mode)
    image.save(tmp_path / "x.png")
    assert mask_of(picture, tmp_path / "x.png").tolist() == VALUES.tolist()


def test_no_file_is_no_mask(picture, tmp_path):
    assert mask_of(picture, tmp_path / "x.png") is None


def test_a_mask_of_another_picture_is_refused(picture, tmp_path):
    Image.new("L", (2, 3)).save(tmp_path / "x.png")
    with pytest.raises(OSError, match=r"the mask .*x.png has 2 x 3 pixels, but its image has 3 x 2"):
        mask_of(picture, tmp_path / "x.png")


def test_what_is_no_png_is_refused(picture, tmp_path):
    (tmp_path / "x.png").write_bytes(picture.read_bytes())
    with pytest.raises(OSError, match="not an image of a supported format"):
        mask_of(picture, tmp_path / "x.png")
