"""Pictures in Python take what people have in hand, or say in one sentence what is wrong (use.md, H and "Pictures")."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lit_coiba import Preprocessing, heat, load_images, overlay, save, show
from lit_coiba.core.errors import InputError
from lit_coiba.core.explanation import Explanation
from lit_coiba.data.transforms import Transform
from lit_coiba.pictures.scale import Scale
from lit_coiba.store import Row
from tests._testers import tiny
from tests._testers.runs import NoiseData

README = Path(__file__).parents[2] / "README.md"
RECIPE = Preprocessing(size=(32, 32), crop_pct=1.0)
GENERATOR = np.random.default_rng(0)
BYTES = GENERATOR.integers(0, 256, (32, 32, 3), dtype=np.uint8)
PICTURE = Image.fromarray(BYTES)
PLANES = torch.from_numpy(BYTES).permute(2, 0, 1)
SHARES = PLANES / 255
MAP = torch.linspace(0, 1, 16).view(4, 4)

IN_HAND = {
    "PIL": (PICTURE, None),
    "PIL in grays and alpha": (PICTURE.convert("RGBA"), None),
    "bytes, HWC": (BYTES, None),
    "bytes, CHW": (np.moveaxis(BYTES, 2, 0).copy(), None),
    "float32 array": (BYTES.astype(np.float32) / 255, None),
    "float64 array, CHW": (SHARES.double().numpy(), None),
    "big-endian array": ((BYTES / 255).astype(">f8"), None),
    "int64 tensor": (PLANES.long(), None),
    "byte tensor": (PLANES, None),
    "byte tensor, HWC": (torch.from_numpy(BYTES), None),
    "tensor in [0, 1]": (SHARES, None),
    "half precision": (SHARES.double().to(torch.float64), None),
    "tensor with a graph": (SHARES.clone().requires_grad_(), None),
    "normalized, with its preprocessing": (RECIPE.normalize(SHARES), RECIPE),
    "pixels with a model of their size": (SHARES, RECIPE),
    "a batch of one": (SHARES[None], None),
    "a list": ([PICTURE], None),
}


@pytest.mark.parametrize("given", IN_HAND)
def test_what_people_have_in_hand_gives_one_and_the_same_picture(given):
    images, model = IN_HAND[given]
    expected = np.asarray(overlay(PICTURE, MAP)).astype(int)
    found = np.asarray(overlay(images, MAP, model)).astype(int)
    assert found.shape == (32, 32, 3)
    assert np.abs(found - expected).max() <= 1


def test_a_normalized_batch_with_its_model_and_a_file(tmp_path):
    model = tiny.vit()
    PICTURE.save(tmp_path / "a.png")
    images = load_images([tmp_path / "a.png", PICTURE, BYTES], model)
    assert images.shape == (3, 3, 32, 32)
    assert torch.equal(images[0], images[2])
    assert overlay(images, torch.rand(3, 4, 4), model).size == (3 * 32 + 2 * 4, 32)
    assert overlay(str(tmp_path / "a.png"), MAP, model).size == (32, 32)


def test_a_block_of_a_data_module_and_files_as_they_are_found(tmp_path):
    data = NoiseData(4, 2)
    data.preprocessing = RECIPE
    data.setup("predict")
    block = next(iter(data.predict_dataloader()))
    assert show(block, torch.rand(2, 4, 4), RECIPE).height > 400
    for index in range(2):
        PICTURE.save(tmp_path / f"{index}.png")
    assert load_images(tmp_path.glob("*.png"), RECIPE).shape == (2, 3, 32, 32)
    assert overlay(Image.new("L", (1, 1)), torch.ones(1, 1)).size == (1, 1)
    for mode in ("1", "L", "LA", "P", "CMYK", "YCbCr", "HSV"):
        assert overlay(PICTURE.convert(mode), MAP).size == (32, 32)


def test_load_images_is_the_transform_of_explain():
    recipe = Preprocessing(size=(24, 20), crop_pct=0.8)
    picture = Image.fromarray(GENERATOR.integers(0, 256, (57, 91, 3), dtype=np.uint8))
    expected = Transform(recipe)(picture)
    for given in (picture, np.asarray(picture), np.asarray(picture) / 255, torch.from_numpy(np.array(picture))):
        assert torch.equal(load_images(given, recipe)[0], expected)


def test_transparent_pixels_are_white():
    toucan = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    assert load_images(toucan, RECIPE).allclose(RECIPE.normalize(torch.ones(1, 3, 32, 32)))
    assert load_images(np.asarray(toucan), RECIPE).allclose(RECIPE.normalize(torch.ones(1, 3, 32, 32)))
    palette = Image.new("P", (32, 32), 0)
    palette.info["transparency"] = 0
    assert load_images(palette, RECIPE).allclose(RECIPE.normalize(torch.ones(1, 3, 32, 32)))


def test_a_picture_of_another_shape_is_cropped_to_what_the_model_saw():
    wide = Image.fromarray(GENERATOR.integers(0, 256, (64, 128, 3), dtype=np.uint8))
    assert overlay(wide, MAP, RECIPE).size == (32, 32)
    assert overlay(np.asarray(wide), MAP, RECIPE).size == (32, 32)
    with pytest.warns(UserWarning, match="stretched over the whole picture: give the model too"):
        assert overlay(wide, MAP).size == (128, 64)


MAPS = {
    "one": MAP,
    "an array": MAP.numpy(),
    "whole numbers": (10 * MAP).long(),
    "a mask": MAP > 0.5,
    "half": MAP.half(),
    "a batch of one": MAP[None],
    "with a channel": MAP[None, None],
    "with a graph": MAP.clone().requires_grad_(),
    "an explanation": Explanation(MAP[None], {}),
    "a row": Row("a", -1, 0, 0.5, MAP, {}),
    "a list": [MAP],
    "pixels": torch.rand(32, 32),
    "another grid": torch.rand(3, 7),
    "one cell": torch.ones(1, 1),
    "zeros": torch.zeros(4, 4),
}


@pytest.mark.parametrize("given", MAPS)
@pytest.mark.filterwarnings("ignore:a picture and its map have sides")
def test_maps_of_any_kind(given):
    assert overlay(PICTURE, MAPS[given]).size == (32, 32)
    assert min(heat(MAPS[given]).size) >= 90
    assert show(PICTURE, MAPS[given]).mode == "RGB"


REFUSED = {
    "no picture": (lambda: overlay(None, MAP), "images is of type NoneType: give a file, a PIL picture"),
    "a number": (lambda: overlay(3, MAP), "images is of type int"),
    "text": (lambda: overlay("nothing.png", MAP), "images: nothing.png cannot be read: the file does not exist"),
    "a folder": (lambda: overlay(".", MAP), "is a folder: give files, or read it by ImageFolder"),
    "an empty list": (lambda: overlay([], MAP), "images is empty"),
    "a vector": (lambda: overlay(np.ones(3), MAP), r"images has shape \(3,\)"),
    "five channels": (lambda: overlay(np.ones((8, 8, 5)), MAP), r"images has shape \(8, 8, 5\)"),
    "nothing": (lambda: overlay(np.ones((0, 8, 3)), MAP), r"images has shape \(0, 8, 3\)"),
    "five dimensions": (lambda: overlay(torch.ones(1, 1, 3, 8, 8), MAP), "images has shape"),
    "normalized": (lambda: overlay(RECIPE.normalize(SHARES), MAP), "normalized images also their model, model=..."),
    "0 to 255": (lambda: overlay(255 * SHARES, MAP), "not pixels in .0, 1.: divide them by 255"),
    "16 bits": (
        lambda: overlay(np.full((8, 8, 3), 4000, np.uint16), MAP),
        "whole numbers from 4000 to 4000",
    ),
    "of another model": (lambda: overlay(9 * RECIPE.normalize(SHARES), MAP, RECIPE), "nor normalized by this model"),
    "NaN": (lambda: overlay(SHARES * torch.nan, MAP), "images has numbers that are not finite"),
    "complex": (lambda: overlay(SHARES + 0j, MAP), "images is of torch.complex64"),
    "objects": (lambda: overlay(np.array([[{}]]), MAP), "images is an array of object"),
    "a mode without a range": (lambda: overlay(Image.new("F", (8, 8)), MAP), "mode 'F'"),
    "no map": (lambda: overlay(PICTURE, None), "map is of type NoneType: give a tensor or an array"),
    "a picture as a map": (lambda: overlay(PICTURE, PICTURE), "map is of type Image: give a tensor or an array"),
    "a vector as a map": (lambda: heat(torch.ones(3)), r"map has shape \(3,\)"),
    "an empty map": (lambda: heat(torch.ones(0, 3)), r"map has shape \(0, 3\)"),
    "colors as a map": (lambda: overlay(PICTURE, SHARES), "map has 3 maps for 1 images"),
    "no maps": (lambda: heat([]), "map is empty"),
    "text as a map": (lambda: heat("a"), "map is of type str"),
    "complex map": (lambda: heat(MAP + 0j), "map is of torch.complex64"),
    "more maps": (lambda: show(SHARES[None], torch.rand(2, 4, 4)), "maps has 2 maps for 1 images: give one for each"),
    "none by name": (lambda: show(PICTURE, {}), "maps is empty"),
    "by name": (lambda: show(PICTURE, {"a": MAP, "b": None}), r"maps\['b'\] is of type NoneType"),
    "titles": (lambda: show(PICTURE, MAP, titles=["a", "b"]), "titles has 2 entries for 1 images"),
    "one title": (lambda: show(PICTURE, MAP, titles="a"), "titles has 1 entries for 1 images: give a list"),
    "columns": (lambda: show(PICTURE, MAP, columns=0), "columns is 0"),
    "a bare module": (lambda: overlay(SHARES, MAP, torch.nn.Identity()), "model is a plain Identity: wrap it first"),
    "no model": (lambda: load_images(PICTURE, None), "model is a plain NoneType"),
    "input again": (lambda: load_images(RECIPE.normalize(SHARES), RECIPE), "normalized images are model input already"),
    "save": (lambda: save("a.png", PICTURE), "picture is of type str: give what show, overlay or heat returned"),
    "no file": (lambda: save(PICTURE, None), "file is of type NoneType"),
    "no ending": (lambda: save(PICTURE, "a.jpg"), "file is 'a.jpg': pictures are written as PNG"),
    "normalize a picture": (lambda: RECIPE.normalize(PICTURE), "pixels is of type Image: .*load_images reads pictures"),
    "normalize bytes": (lambda: RECIPE.normalize(PLANES), "pixels is torch.uint8"),
    "normalize HWC": (lambda: RECIPE.normalize(torch.rand(32, 32, 3)), r"pixels is of shape \(32, 32, 3\)"),
    "denormalize a picture": (lambda: RECIPE.denormalize(BYTES), "images is of type ndarray"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_everything_else_is_refused_in_one_sentence(case):
    call, sentence = REFUSED[case]
    with pytest.raises(InputError, match=sentence) as raised:
        call()
    assert len(str(raised.value)) < 500
    assert "\n" not in str(raised.value)


def test_negative_values_of_a_signed_map_are_drawn():
    signed = torch.zeros(4, 4)
    signed[0, 0], signed[3, 3] = 2.0, -2.0
    found = np.asarray(overlay(Image.new("RGB", (32, 32), "gray"), signed)).astype(int)
    (first, last), gray = (found[0, 0], found[-1, -1]), found[0, -1]
    assert first[0] > first[2] + 60  # red
    assert last[2] > last[0] + 60  # blue
    assert np.ptp(gray) == 0
    assert np.array_equal(np.asarray(heat(signed))[0, -1], np.asarray(heat(signed))[-1, 0])


def test_nan_is_said_and_hatched():
    values = MAP.clone()
    values[0, 0] = torch.nan
    with pytest.warns(UserWarning, match="1 of 16 values of the maps are not finite; they are hatched"):
        found = np.asarray(overlay(PICTURE, values)).astype(int)
    assert np.ptp(found[:5, :5], axis=2).max() == 0
    assert np.array_equal(found[20:, 20:], np.asarray(overlay(PICTURE, MAP))[20:, 20:])
    with pytest.warns(UserWarning, match="16 of 16"):
        heat(MAP * torch.nan)


def test_the_map_is_resized_by_the_one_resize():
    from lit_coiba.functional import resize_map
    from lit_coiba.pictures.painting import enlarged

    assert torch.equal(enlarged(MAP, (32, 48)), resize_map(Scale.of(MAP).shares(MAP)[None], (32, 48))[0])


def test_several_methods_side_by_side_on_one_scale_or_each_on_its_own():
    images, weak, strong = torch.rand(2, 3, 32, 32), torch.rand(2, 4, 4), 9 * torch.rand(2, 4, 4)
    own = show(images, {"weak": weak, "strong": strong}, titles=["tench", "goldfish"])
    common = show(images, {"weak": weak, "strong": strong}, titles=["tench", "goldfish"], common_scale=True)
    assert own.size == common.size
    assert np.asarray(own).tobytes() != np.asarray(common).tobytes()
    assert show(images, weak, columns=2).width > show(images, weak).width


def test_save_makes_the_folder_and_replaces_the_file_in_one_piece(tmp_path):
    file = save(show(PICTURE, MAP), tmp_path / "new" / "a.png")
    with Image.open(file) as opened:
        assert opened.size == show(PICTURE, MAP).size
    assert [path.name for path in file.parent.iterdir()] == ["a.png"]
    with pytest.raises(InputError, match="cannot be written"):
        save(PICTURE, file / "below.png")


def test_inputs_are_left_alone():
    images, values = RECIPE.normalize(SHARES), MAP - 0.5
    before = images.clone(), values.clone()
    overlay(images, values, RECIPE)
    show(images, values, RECIPE)
    assert torch.equal(images, before[0])
    assert torch.equal(values, before[1])


def test_a_data_module_gives_the_picture_of_a_sample(tmp_path):
    from lit_coiba import ImageFolder

    (tmp_path / "cats").mkdir()
    (tmp_path / "dogs").mkdir()
    PICTURE.save(tmp_path / "dogs/a.png")
    for name in ("cats/a.png", "cats/b.png"):
        PICTURE.save(tmp_path / name)
    (tmp_path / "cats/c.png").write_bytes(b"torn")
    data = ImageFolder(str(tmp_path))
    assert np.array_equal(data["cats/b.png"], BYTES)
    assert np.array_equal(data[0], BYTES)
    assert load_images(data["cats/a.png"], RECIPE).shape == (1, 3, 32, 32)
    for key, sentence in (
        ("cats/bb.png", "no sample 'cats/bb.png': ids near it are cats/b.png, cats/c.png, dogs/a.png"),
        (4, "the sample is 4: give the id of one, or a number from 0 to 3"),
        (1.5, "the sample is of type float"),
        (2, "cats/c.png cannot be read: the file is not an image"),
    ):
        with pytest.raises(InputError, match=sentence):
            data[key]


@pytest.mark.filterwarnings("ignore::UserWarning")  # of four equal images
def test_the_readme_goes_from_a_picture_to_an_overlay(tmp_path, monkeypatch):
    """In at most six lines; on a small network of random weights in the place of the user's."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line for line in blocks[0].splitlines() if line.strip()]
    assert len(lines) <= 6
    Image.fromarray(GENERATOR.integers(0, 256, (90, 120, 3), dtype=np.uint8)).save("tom.jpg")
    own = '"resnet18", num_classes=3, image_size=64'
    names = {"files": ["tom.jpg"] * 4}
    for block in blocks[:2]:
        text = block.replace('"resnet50", checkpoint="weights.safetensors"', own).replace("antithetic=True", "steps=2")
        exec(compile(text, "README.md", "exec"), names)
    with Image.open("overlay.png") as opened:
        assert opened.size == (64, 64)
    assert names["bits"].dim() == 3
