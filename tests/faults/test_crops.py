"""Every pretrained configuration of timm, prepared as timm prepares it; boxes of less than a pixel."""

import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.construction import preprocessing_of
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data.keypoints import Keypoints
from lit_coiba.data.transforms import Transform

FIELDS = ("input_size", "crop_pct", "crop_mode", "interpolation", "mean", "std")
SIZES = [(53, 37), (31, 90), (40, 41)]  # width and height of pictures


class Configured(nn.Module):
    """What timm says about a model, without the model."""

    def __init__(self, configuration):
        super().__init__()
        self.pretrained_cfg = configuration


def configurations():
    """Every distinct recipe of timm's tags, and the number of tags."""
    tags = timm.list_pretrained()
    found = {}
    for tag in tags:
        configuration = timm.get_pretrained_cfg(tag).to_dict()
        found.setdefault(tuple(str(configuration[field]) for field in FIELDS), configuration)
    return list(found.values()), len(tags)


def noise(width, height):
    pixels = torch.randint(256, (height, width, 3), generator=torch.Generator().manual_seed(width))
    return Image.fromarray(pixels.to(torch.uint8).numpy())


def differences(found):
    """Configurations by which a picture comes out otherwise: the first one normalized, the others as bytes."""
    pictures = [noise(*size) for size in SIZES]
    for configuration in found:
        ours = Transform(preprocessing_of(Configured(configuration)))
        told = resolve_data_config(pretrained_cfg=configuration)
        theirs, their_bytes = (create_transform(**told, is_training=False, normalize=value) for value in (True, False))
        same = torch.allclose(ours(pictures[0]), theirs(pictures[0]), rtol=0, atol=1e-6)
        if not same or not all(torch.equal(ours.pixels(one), their_bytes(one)) for one in pictures[1:]):
            yield {field: configuration[field] for field in FIELDS}


def test_every_configuration_of_timm_equals_create_transform():
    """fidelity.md: 131 of timm's tags are evaluated with another crop mode than the center."""
    found, tags = configurations()
    modes = {configuration["crop_mode"] for configuration in found}
    assert tags > 1700
    assert modes == {"center", "squash", "border"}
    assert list(differences(found)) == []


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
@pytest.mark.parametrize("share", [1.0, 0.8, 1.3])
def test_sizes_and_shares_that_no_tag_has(mode, size, share):
    recipe = Preprocessing(size, share, "bicubic", crop_mode=mode)
    told = {"interpolation": "bicubic", "mean": recipe.mean, "std": recipe.std, "crop_pct": share, "crop_mode": mode}
    theirs = create_transform((3, *size), is_training=False, **told)
    for picture in (noise(50, 20), noise(17, 90), noise(*size)):
        torch.testing.assert_close(Transform(recipe)(picture), theirs(picture), rtol=0, atol=1e-6)


def test_filters_of_timm_that_no_tag_has():
    for name in ("lanczos", "hamming", "box"):
        recipe = preprocessing_of(Configured({"interpolation": name, "input_size": (3, 16, 16)}))
        theirs = create_transform((3, 16, 16), is_training=False, interpolation=name, crop_pct=recipe.crop_pct)
        torch.testing.assert_close(Transform(recipe)(noise(50, 41)), theirs(noise(50, 41)), rtol=0, atol=1e-6)


def test_the_crop_mode_is_part_of_the_recipe_and_old_recipes_stay_as_they_were():
    """fidelity.md: in the digest too, and digests of center crops unchanged."""
    names = ["size", "crop_pct", "interpolation", "mean", "std"]
    assert list(Preprocessing().identity()) == names
    assert repr(Preprocessing()) == (
        "Preprocessing(size=(224, 224), crop_pct=0.875, interpolation='bicubic', mean=(0.485, 0.456, 0.406), "
        "std=(0.229, 0.224, 0.225))"
    )
    squashed = Preprocessing(crop_mode="squash")
    assert list(squashed.identity()) == [*names, "crop_mode"]
    assert repr(squashed) != repr(Preprocessing())


def test_a_backbone_takes_timms_crop_mode_or_the_one_that_is_given():
    small = {"timm_kwargs": {"depths": (1, 1, 1, 1), "dims": (4, 4, 4, 4)}, "image_size": 32}
    name = "convnext_base.fb_in22k_ft_in1k_384"
    assert Backbone(name, **small).preprocessing.crop_mode == "squash"
    assert Backbone(name, crop_mode="border", **small).preprocessing.crop_mode == "border"
    with pytest.raises(InputError, match="crop_mode is 'middle': choose center, squash, border"):
        Backbone(name, crop_mode="middle", **small)


@pytest.mark.parametrize("mode", ["squash", "border"])
def test_masks_and_keypoints_go_through_the_same_geometry(mode):
    width, height = 90, 40
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[10:30, 20:75] = True
    picture = Image.fromarray((mask * 255).to(torch.uint8).numpy()).convert("RGB")
    recipe = Preprocessing((32, 24), 0.9, "nearest", (0, 0, 0), (1, 1, 1), mode)
    assert torch.equal(Transform(recipe).region(mask), Transform(recipe)(picture)[0] == 1)
    corners = Keypoints(("a", "b"), torch.tensor([[20.0, 10.0], [75.0, 30.0]]), torch.tensor([True, True]))
    moved = Transform(recipe).keypoints(corners, height, width)
    rows, columns = Transform(recipe).region(mask).nonzero().unbind(1)
    found = torch.tensor([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]]).float()
    torch.testing.assert_close(moved.xy, found, rtol=0, atol=1.0)


def region(box, size=(750, 1000)):
    mask = torch.zeros(size, dtype=torch.bool)
    left, top, right, bottom = box
    mask[top:bottom, left:right] = True
    return Transform(Preprocessing()).region(mask)


def test_a_box_of_less_than_a_pixel_keeps_the_pixel_of_its_center():
    """fidelity.md: of boxes of 8 pixels in a picture of 4000 x 3000, 34 of 60 vanished (here a quarter of that)."""
    generator = torch.Generator().manual_seed(0)
    transform = Transform(Preprocessing())
    for _ in range(20):
        top, left = torch.randint(100, 600, (2,), generator=generator).tolist()
        found = region((left + 75, top, left + 77, top + 2))
        assert 1 <= found.sum() <= 4
        center = Keypoints(("c",), torch.tensor([[left + 76.0, top + 1.0]]), torch.tensor([True]))
        place = transform.keypoints(center, 750, 1000).xy[0]
        assert (found.nonzero()[0].flip(0) + 0.5 - place).abs().max() < 1.5


def test_a_line_stays_a_line_and_what_is_cropped_away_stays_away():
    assert region((150, 376, 850, 377)).sum(1).max() == 224
    assert not region((3, 3, 5, 5)).any()  # left of the center crop
    small, large = torch.zeros(300, 300, dtype=torch.bool), torch.zeros(300, 300, dtype=torch.bool)
    large[100:200, 100:200] = True
    small[50, 51] = True
    transform = Transform(Preprocessing((30, 30), 1.0))
    both = transform.region(small | large)
    assert torch.equal(both, transform.region(small) | transform.region(large))
    assert both.sum() == 101


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"crop_pct": 0}, "crop_pct is 0: give a share above 0"),
        ({"crop_pct": -1}, "crop_pct is -1: give a share above 0"),
        ({"crop_pct": float("nan")}, "crop_pct is nan: give a share above 0"),
        ({"crop_pct": 1e-9}, "crop_pct is 1e-09, by which pictures would be resized to"),
        ({"crop_pct": 1e9}, "crop_pct is 1000000000.0, by which pictures would be resized to"),
        ({"std": (0.2, 0.0, 0.2)}, r"std is \(0.2, 0.0, 0.2\): give numbers above 0"),
        ({"std": (0.2, -1.0, 0.2)}, "give numbers above 0"),
        ({"std": (0.2, float("nan"), 0.2)}, "std is .*: give finite numbers"),
        ({"mean": (float("inf"), 0.0, 0.2)}, "mean is .*: give finite numbers"),
        ({"mean": (0.5,)}, "mean has 1 values: give one for each of the 3 channels"),
        ({"size": (0, 224)}, r"size is \(0, 224\): give height and width"),
        ({"interpolation": "cubic"}, "interpolation is 'cubic': choose nearest, bilinear"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(values, message):
    """reliability.md: with a crop_pct of 0, every image failed."""
    with pytest.raises(InputError, match=message):
        Preprocessing(**values)
