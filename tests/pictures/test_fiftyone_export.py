"""The dataset for FiftyOne: its documents are what FiftyOne's format asks for, and heatmaps lie where the maps do.

The format is checked against what is documented of it, since FiftyOne itself brings a database along. Where it is
installed, a round trip goes through it.
"""

import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lit_coiba.cli import main
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data.transforms import Transform
from lit_coiba.pictures.fiftyone_export import export_fiftyone, gray, span
from lit_coiba.store import BlockRecord, ExplanationStore, Manifest

PREPROCESSING = Preprocessing((32, 32), 0.5, "bilinear", (0.5,) * 3, (0.5,) * 3)
NAMES = ["cat", "dog", "bird"]


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    (folder / "pets").mkdir(parents=True)
    for name, size in (("a.png", (100, 50)), ("b & c.png", (40, 40)), ("d.png", (60, 80))):
        Image.new("RGB", size, "red").save(folder / "pets" / name)
    return folder


@pytest.fixture
def store(tmp_path):
    identity = {"preprocessing": PREPROCESSING.identity(), "targets": "top2"}
    made = ExplanationStore.open(tmp_path / "store", Manifest(identity, {"class_names": NAMES}))
    ids = ("pets/a.png", "pets/a.png", "pets/b & c.png", "pets/d.png", "pets/gone.png")
    maps = torch.zeros(5, 4, 4)
    maps[0, 0, 0], maps[1, 3, 3], maps[2, 1, 2] = 2.0, 1.0, 5.0
    maps[3, 0, 3], maps[3, 3, 0] = 1.0, -3.0
    targets, labels = torch.tensor([0, 1, 2, 0, 0]), torch.tensor([0, 0, -1, 1, -1])
    extras = {"predicted": torch.tensor([0, 0, 2, 1, 0]), "predicted_probability": torch.full((5,), 0.75)}
    made.write(BlockRecord(0, ids, targets, labels, torch.tensor([0.75, 0.2, 0.9, 0.1, 0.5]), maps, extras))
    return made


def read(folder):
    return json.loads((folder / "metadata.json").read_text()), json.loads((folder / "samples.json").read_text())


def check(condition, where):
    assert condition, where


def check_label(label, where):
    """What FiftyOne's documentation says of labels: a class of its own, and fields of plain types."""
    kinds = {"Heatmap": {"map_path", "range"}, "Classification": {"label", "confidence"}}
    check(label["_cls"] in kinds, where)
    check(kinds[label["_cls"]] <= label.keys(), where)
    check(isinstance(label["tags"], list), where)
    for name, value in label.items():
        check(name.isidentifier() and not name.startswith("__"), (where, name))
        check(isinstance(value, (str, int, float, list, type(None))), (where, name))
    if label["_cls"] == "Heatmap":
        check(os.path.isabs(label["map_path"]), where)  # the importer completes paths of pictures only
        check(label["range"] == [0, 255], where)
        with Image.open(label["map_path"]) as picture:
            check(picture.mode == "L", where)  # 8-bit grayscale
    else:
        check(isinstance(label["label"], str), where)


def check_dataset(folder):
    """The documents of a dataset: samples with absolute paths of pictures, and labels as their other fields."""
    metadata, told = read(folder)
    check("version" not in metadata, "which would ask for a whole document of the database")
    check(metadata["media_type"] == "image" and isinstance(metadata["name"], str), metadata)
    check(isinstance(metadata["info"], dict), metadata)
    check(set(told) == {"samples"}, told.keys())
    paths = [sample["filepath"] for sample in told["samples"]]
    check(len(set(paths)) == len(paths), paths)
    for sample in told["samples"]:
        check(os.path.isabs(sample["filepath"]) and Path(sample["filepath"]).is_file(), sample)
        check(sample["tags"] == [] and sample["metadata"] is None and sample["_media_type"] == "image", sample)
        labels = {name: value for name, value in sample.items() if isinstance(value, dict)}
        check(labels, sample)
        for name, label in labels.items():
            check(name.isidentifier(), name)
            check_label(label, (sample["filepath"], name))
    return metadata, told["samples"]


def test_samples_are_pictures_with_all_that_is_known_of_them(store, images, tmp_path):
    with pytest.warns(UserWarning, match="1 pictures cannot be read and are left out"):
        folder = export_fiftyone(store, images, tmp_path / "out")
    metadata, samples = check_dataset(folder)
    assert metadata["info"]["default_classes"] == NAMES
    assert [Path(sample["filepath"]).name for sample in samples] == ["a.png", "b & c.png", "d.png"]
    first, second, third = samples
    assert first["heatmap"]["target"] == "cat"
    assert first["heatmap_2"]["target"] == "dog"
    assert first["heatmap"]["probability"] == pytest.approx(0.75)
    assert (first["heatmap"]["low"], first["heatmap"]["high"]) == (0.0, 2.0)
    assert first["predicted"]["label"] == "cat"
    assert first["ground_truth"] == {"_cls": "Classification", "tags": [], "label": "cat", "confidence": None}
    assert "heatmap_2" not in second
    assert "ground_truth" not in second
    assert (third["heatmap"]["low"], third["heatmap"]["high"]) == (-3.0, 1.0)
    assert third["predicted"]["label"] == "dog"


def test_a_heatmap_covers_the_whole_picture(store, images, tmp_path):
    """The model sees the middle of the picture: 50 of 100 pixels and half of its height."""
    with pytest.warns(UserWarning, match="left out"):
        folder = export_fiftyone(store, images, tmp_path / "out")
    _, samples = read(folder)
    heat = np.asarray(Image.open(samples["samples"][0]["heatmap"]["map_path"]))
    assert heat.shape[1] / heat.shape[0] == pytest.approx(2, abs=0.05)
    assert heat.max() == 255
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    # the upper left cell of the crop, which is a quarter of its sides: in shares of the whole picture
    assert 0.25 <= row / heat.shape[0] <= 0.25 + 0.5 / 4
    assert 0.375 <= column / heat.shape[1] <= 0.375 + 0.25 / 4
    assert heat[: heat.shape[0] // 4 - 1].max() == 0


def test_signed_maps_are_gray_where_there_is_nothing():
    transform = Transform(PREPROCESSING)
    values = torch.tensor([[-1.0, 0.0], [0.0, 3.0]])
    heat = np.asarray(gray(values, transform, 64, 64))
    assert heat.shape == (64, 64)
    assert heat[0, 0] == round(255 / 4)  # 0, outside of the crop
    assert heat[47, 47] == 255
    assert heat[16, 16] == 0
    assert span(values) == (-1.0, 3.0)
    assert span(torch.full((2, 2), torch.nan)) == (0.0, 0.0)
    assert np.asarray(gray(torch.zeros(2, 2), transform, 64, 64)).max() == 0


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(40, 100), (100, 40), (64, 64), (10, 12)])
def test_a_map_of_the_whole_picture_crops_to_the_map(mode, size):
    preprocessing = Preprocessing((32, 48), 0.8, "bilinear", (0.5,) * 3, (0.5,) * 3, mode)
    transform = Transform(preprocessing)
    values = torch.rand(32, 48, generator=torch.Generator().manual_seed(0))
    whole = transform.whole(values, *size)
    assert tuple(whole.shape) == transform.resized(*size)
    picture = Image.fromarray((whole * 255).round().byte().numpy())
    seen = np.asarray(transform._crop(picture, [0]))
    inside = np.asarray(transform._crop(Image.new("L", picture.size, 255), [0])) > 0
    expected = (values * 255).round().byte().numpy()
    assert np.array_equal(seen[inside], expected[inside])
    assert inside.any()


@pytest.mark.filterwarnings("ignore:.*left out")
def test_the_same_call_again_does_what_is_missing(store, images, tmp_path):
    folder = export_fiftyone(store, images, tmp_path / "out")
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.rglob("*.png")}
    gone = next(iter(before))
    gone.unlink()
    (folder / "samples.json").unlink()
    export_fiftyone(store, images, tmp_path / "out")
    for file, (content, when) in before.items():
        assert file.read_bytes() == content
        assert (file.stat().st_mtime_ns == when) == (file != gone)
    check_dataset(folder)


def test_what_cannot_be_is_one_sentence(store, images, tmp_path):
    with pytest.raises(InputError, match="give their folder, --images DIR"):
        export_fiftyone(store, None, tmp_path / "out")
    with pytest.raises(InputError, match="is not a folder"):
        export_fiftyone(store, tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="none of the 5 pictures can be read"):
        export_fiftyone(store, tmp_path / "empty", tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "samples.json").write_text('{"mine": 1}')
    with pytest.raises(InputError, match=r"samples\.json is there, and is not what"):
        export_fiftyone(store, images, tmp_path / "mine")
    assert (tmp_path / "mine" / "samples.json").read_text() == '{"mine": 1}'
    with pytest.raises(InputError, match="format fiftyone needs the pictures"):
        store.export("fiftyone", tmp_path / "x")


@pytest.mark.filterwarnings("ignore:.*left out")
def test_the_command(store, images, tmp_path, capsys):
    words = ["export", str(store.path), "--format", "fiftyone", "--images", str(images)]
    assert main([*words, "--output", str(tmp_path / "out")]) == 0
    check_dataset(tmp_path / "out")
    assert main(words[:4]) == 2
    assert "give their folder, --images DIR" in capsys.readouterr().err


@pytest.mark.skipif(
    importlib.util.find_spec("fiftyone") is None, reason="fiftyone, with its database, is not installed"
)
@pytest.mark.filterwarnings("ignore")
def test_fiftyone_opens_it(store, images, tmp_path):
    fiftyone = pytest.importorskip("fiftyone")
    folder = export_fiftyone(store, images, tmp_path / "out")
    dataset = fiftyone.Dataset.from_dir(str(folder), dataset_type=fiftyone.types.FiftyOneDataset)
    try:
        first = dataset.first()
        assert first["heatmap"].target == "cat"
        assert first["heatmap"].map_path.endswith(".png")
        assert first["predicted"].label == "cat"
        assert dataset.default_classes == NAMES
    finally:
        dataset.delete()
