import numpy as np
import pytest
import torch
from PIL import Image

from lit_coiba.core.errors import InputError
from lit_coiba.pictures.gallery import gallery


def test_each_method_has_a_line_with_its_maps(tmp_path):
    pictures = [torch.full((3, 20, 30), 100, dtype=torch.uint8), torch.full((3, 16, 16), 200, dtype=torch.uint8)]
    hot, cold = torch.zeros(2, 2), torch.zeros(2, 2)
    hot[0, 0] = 1
    maps = {"First": [hot, cold], "Second": [None, hot], "Third": [cold, None]}
    file = gallery(pictures, ["a", "b"], maps, tmp_path / "gallery.png", columns=2)
    page = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)
    again = gallery(pictures, ["a", "b"], maps, tmp_path / "again.png", columns=2)
    assert file.read_bytes() == again.read_bytes()
    panels = [page[:, 118:202, 140:224], page[:, 206:290, 140:224]]  # First and Second on the first picture
    assert panels[0][0].float().std() > 1  # heat in a corner
    assert (panels[1] == 240).all()  # not explained


def test_missing_maps_are_refused(tmp_path):
    picture = torch.zeros(3, 8, 8, dtype=torch.uint8)
    with pytest.raises(InputError, match="for every picture"):
        gallery([picture, picture], ["a", "b"], {"One": [None]}, tmp_path / "x.png")
    with pytest.raises(InputError, match="a gallery needs pictures"):
        gallery([], [], {}, tmp_path / "x.png")
