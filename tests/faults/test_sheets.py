"""Contact sheets and overlays say what they show (use.md, the second trial, pictures 1 to 10)."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lit_coiba.callbacks import ContactSheet
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.pictures import page as page_module
from lit_coiba.pictures.about import About, rule, settings
from lit_coiba.pictures.contact_sheet import contact_sheet
from lit_coiba.pictures.names import Names
from lit_coiba.pictures.outline import LINE
from lit_coiba.pictures.overlay_export import export_overlays
from lit_coiba.store import BlockRecord, ExplanationStore, Manifest
from tests._testers import tiny
from tests._testers.runs import NoiseData, Shade, explain, make_trainer

RECIPE = Preprocessing(size=(32, 32), crop_pct=1.0)


class Pictures(ImageDataset):
    """Gray pictures of any size, with a region if asked."""

    def __init__(self, count, size=(32, 32), classes=("cat", "dog", "emu"), region=None):
        self.ids = [f"{index:02d}.png" for index in range(count)]
        self.labels = [index % 3 for index in range(count)]
        self.classes, self.size, self.mask = list(classes), size, region

    def image(self, index):
        return Image.new("RGB", self.size, (100, 100, 100))

    def region(self, index):
        return self.mask


@pytest.fixture
def texts(monkeypatch):
    """Every text on every page, and whether it is bold."""
    written, write = {}, page_module.Page.text

    def text(self, x, baseline, text, width=None, size=9.0, color=page_module.INK, bold=False, **others):
        written[text] = bold
        return write(self, x, baseline, text, width, size, color, bold, **others)

    monkeypatch.setattr(page_module.Page, "text", text)
    return written


def store_of(path, dataset, identity=None, predicted=None, probabilities=None, maps=None, targets=None):
    store = ExplanationStore.open(path, Manifest({"method": {"class": "CoIBA", "beta": 10.0}, **(identity or {})}))
    count = len(dataset.ids)
    extras = {}
    if predicted is not None:
        extras = {"predicted": torch.tensor(predicted), "predicted_probability": torch.full((count,), 0.9)}
    maps = torch.rand(count, 4, 4, generator=torch.Generator().manual_seed(0)) if maps is None else maps
    targets = torch.zeros(count, dtype=torch.long) if targets is None else torch.tensor(targets)
    probabilities = torch.full((count,), 0.5) if probabilities is None else torch.tensor(probabilities)
    store.write(BlockRecord(0, tuple(dataset.ids), targets, torch.tensor(dataset.labels), probabilities, maps, extras))
    return ExplanationStore(path)


def test_1_the_title_tells_two_sheets_apart(tmp_path, texts):
    data = Pictures(3)
    about = About(Names(data.classes, data.classes), "resnet50", defaults={"beta": 1.0})
    contact_sheet(store_of(tmp_path / "s", data, {"targets": "label"}), data, RECIPE, tmp_path / "x.png", about=about)
    assert "beta 10" in texts
    (line,) = (text for text in texts if "resnet50" in text)
    assert "explained: the label" in line
    assert "drawn 20" in line


def test_1_only_settings_that_are_not_the_defaults_are_told():
    manifest = Manifest({"method": {"class": "X", "beta": 1.0, "layers": ["a", "b"], "steps": 20, "fast": True}})
    assert settings(manifest, {"beta": 1.0, "layers": None, "steps": 10, "fast": True}) == "layers a b, steps 20"
    assert settings(manifest, {"beta": 1.0, "layers": ("a", "b"), "steps": 20, "fast": False}) == "fast on"


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ("predicted", "the predicted class"),
        ("runner_up", "the class in second place"),
        ("top3", "the 3 most probable classes"),
        ("7", "class 7"),
        ({"kind": "class", "cls": "tench", "score": None, "output": None, "version": 1}, "class tench"),
        ({"kind": "class", "cls": "label", "score": "prob", "output": None, "version": 1}, "the label, by its prob"),
        ({"kind": "contrast", "cls": None, "version": 1}, "contrast"),
    ],
)
def test_1_the_target_rule_in_words(targets, words):
    assert rule(Manifest({"targets": targets})) == words


def test_2_what_the_number_is_and_that_brightness_does_not_compare(tmp_path, texts):
    data = Pictures(2)
    store = store_of(tmp_path / "s", data, maps=torch.stack([torch.full((4, 4), 8.0), torch.full((4, 4), 800.0)]))
    contact_sheet(store, data, RECIPE, tmp_path / "own.png")
    assert any("is its largest value. Each map is colored up to its own: brightness does not" in text for text in texts)
    assert {"0 to 8", "0 to 800"} <= set(texts)
    texts.clear()
    contact_sheet(store, data, RECIPE, tmp_path / "common.png", common_scale=True)
    assert "One scale for all maps, up to 800: equal colors stand for equal values." in texts
    assert "0 to 8" not in texts
    assert (tmp_path / "own.png").read_bytes() != (tmp_path / "common.png").read_bytes()


def test_3_the_share_that_the_crop_shows_is_told(tmp_path, texts):
    data = Pictures(2, size=(320, 64))
    contact_sheet(store_of(tmp_path / "s", data), data, RECIPE, tmp_path / "x.png")
    assert any("Shown is the model's crop: 20% of a picture." in text for text in texts)
    assert "20% of the picture" in texts


def test_4_boxes_are_drawn(tmp_path):
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[8:24, 8:24] = True
    for name, region in (("with", mask), ("without", None)):
        data = Pictures(1, region=region)
        file = contact_sheet(store_of(tmp_path / name, data), data, RECIPE, tmp_path / f"{name}.png")
        with Image.open(file) as sheet:
            green = (np.asarray(sheet) == LINE).all(2).sum()
        assert (green > 500) == (region is not None)


def test_5_a_given_target_is_no_prediction(tmp_path, texts):
    data = Pictures(3)
    store = store_of(tmp_path / "s", data, {"targets": "label"}, predicted=[1, 0, 2], targets=[0, 1, 2])
    contact_sheet(store, data, RECIPE, tmp_path / "x.png")
    assert (texts["cat"], texts["dog"], texts["emu"]) == (False, False, True)
    assert {"predicted: dog 90%", "predicted: cat 90%"} <= set(texts)


@pytest.mark.parametrize("targets", ["predicted", "label", "runner_up", "top2", 3])
def test_5_stores_know_what_was_predicted(tmp_path, targets):
    model = tiny.vit()
    store = explain(model, tmp_path / "s", NoiseData(4), Shade(), targets=targets)
    for row in store:
        assert ("predicted" in row.extras) == (targets != "predicted")
        if targets == "label":
            with torch.no_grad():
                logits = model(model.normalize(torch.zeros(1, 3, 32, 32)))
            assert 0 <= int(row.extras["predicted"]) < logits.shape[1]
            assert row.extras["predicted_probability"] >= row.probability - 1e-6
        if targets == "top2":
            assert (row.extras["predicted_probability"] - row.probability).abs() < 1e-6 or (
                row.target != int(row.extras["predicted"])
            )


def test_6_wrong_first_and_least_certain_first(tmp_path, texts):
    data = Pictures(6)  # labels 0 1 2 0 1 2
    store = store_of(
        tmp_path / "s", data, {"targets": "predicted"}, targets=[0] * 6, probabilities=[0.9, 0.8, 0.95, 0.2, 0.6, 0.7]
    )
    for order, expected in (
        ("spread", ["00.png", "02.png", "04.png"]),
        ("wrong_first", ["02.png", "01.png", "05.png"]),
        ("least_certain_first", ["03.png", "04.png", "05.png"]),
    ):
        texts.clear()
        contact_sheet(store, data, RECIPE, tmp_path / "x.png", count=3, order=order)
        assert [text for text in texts if text.endswith(".png")] == expected
    with pytest.raises(InputError, match="order is 'worst': choose spread, wrong_first, least_certain_first"):
        ContactSheet(order="worst")


def test_6_another_order_draws_the_sheet_again_without_explaining(tmp_path):
    model, sheets = tiny.vit(), []
    for callback in (ContactSheet(), ContactSheet(), ContactSheet(order="least_certain_first")):
        trainer = make_trainer(callbacks=[callback])
        explain(model, tmp_path / "s", NoiseData(4), Shade(), trainer=trainer)
        sheets.append((tmp_path / "s" / "contact_sheet.png").stat().st_mtime_ns)
    assert sheets[0] == sheets[1] != sheets[2]


def test_9_random_weights_are_said_on_the_sheet(tmp_path, texts):
    data = Pictures(1)
    about = About(Names(data.classes, data.classes), "resnet18", random_weights=True)
    contact_sheet(store_of(tmp_path / "s", data), data, RECIPE, tmp_path / "x.png", about=about)
    assert texts["RANDOM WEIGHTS: these maps mean nothing"]


@pytest.mark.parametrize("size", [(1, 1), (425, 6)])
def test_10_a_tiny_picture_says_that_it_is(tmp_path, texts, size):
    data = Pictures(1, size=size)
    contact_sheet(store_of(tmp_path / "s", data), data, RECIPE, tmp_path / "x.png")
    assert f"from {size[0]} x {size[1]} pixels" in texts


def test_own_class_folders_are_compared_by_name():
    names = Names.of(["dog", "emu"], ["cat", "dog", "emu", "fox"], 4)
    assert (names.target(3), names.label(1)) == ("fox", "emu")
    assert (names.wrong(0, 1), names.wrong(0, 2), names.wrong(-1, 2)) == (False, True, None)
    assert Names.of(["pug", "emu"], ["cat", "dog", "emu", "fox"], 4).wrong(0, 1) is None  # not comparable
    assert Names.of(["a", "b"], None, 4).target(1) == "class 1"
    assert Names.of([], ["a", "b"], 2).wrong(0, 1) is True


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(3):
        Image.new("RGB", (64, 48), (60 * index, 90, 120)).save(folder / f"{index:02d}.png")
    return folder


def with_recipe(path, **others):
    recipe = {"size": [32, 32], "crop_pct": 1.0, "interpolation": "bicubic", "mean": [0.5] * 3, "std": [0.5] * 3}
    return store_of(path, Pictures(3), {"preprocessing": recipe, "targets": "predicted"}, **others)


def test_7_overlays_are_written_with_name_and_legend(tmp_path, pictures, texts):
    store = with_recipe(tmp_path / "s")
    (tmp_path / "names.txt").write_text("cat\ndog\nemu\n")
    folder = export_overlays(store, pictures, tmp_path / "out", tmp_path / "names.txt")
    assert sorted(file.name for file in folder.glob("*.png")) == [f"{k:02d}.png.target0.png" for k in range(3)]
    with Image.open(folder / "00.png.target0.png") as opened:
        assert min(opened.size) > 400
        assert np.ptp(np.asarray(opened.convert("RGB")).astype(int), axis=2).max() > 100  # heat
    assert {"cat", "  50%", "CoIBA"} & set(texts) >= {"cat", "CoIBA"}
    with open(folder / "explanations.csv", newline="") as table:
        assert len(list(csv.DictReader(table))) == 3
    before = {file: file.stat().st_mtime_ns for file in folder.glob("*.png")}
    export_overlays(store, pictures, tmp_path / "out", tmp_path / "names.txt")
    assert {file: file.stat().st_mtime_ns for file in folder.glob("*.png")} == before


def test_7_pictures_that_cannot_be_read_are_said(tmp_path, pictures):
    store = with_recipe(tmp_path / "s")
    (pictures / "01.png").write_bytes(b"no picture")
    with pytest.warns(UserWarning, match="1 pictures cannot be read and have no overlay, such as 01.png"):
        folder = export_overlays(store, pictures)
    assert len(list(folder.glob("*.png"))) == 2
    with pytest.raises(InputError, match="none of the 3 pictures can be read below"):
        export_overlays(store, tmp_path / "s", tmp_path / "other")
    with pytest.raises(InputError, match="is not a folder: give the folder that was data"):
        export_overlays(store, tmp_path / "none")
    with pytest.raises(InputError, match="format overlay needs the pictures that were explained"):
        store.export("overlay")
    store.manifest.recorded = {"data": {"root": "images"}}
    with pytest.raises(InputError, match="give their folder, --images DIR; they were in images"):
        export_overlays(store, None)


def test_7_ids_of_a_strangers_store_do_not_leave_the_folder(tmp_path, pictures):
    data = Pictures(3)
    data.ids = ["../secret.png", "00.png", str(Path(tmp_path) / "secret.png")]
    Image.new("RGB", (9, 9)).save(tmp_path / "secret.png")
    recipe = {"size": [32, 32], "crop_pct": 1.0, "mean": [0.5] * 3, "std": [0.5] * 3}
    store = store_of(tmp_path / "s", data, {"preprocessing": recipe})
    with pytest.warns(UserWarning, match="2 pictures cannot be read"):
        assert len(list(export_overlays(store, pictures, tmp_path / "out").rglob("*.png"))) == 1


def test_the_store_has_the_models_name_and_class_names(tmp_path):
    model = tiny.vit()
    model.class_names = [f"kind {k}" for k in range(tiny.CLASSES)]
    store = explain(model, tmp_path / "s", NoiseData(2), Shade())
    assert store.manifest.recorded["model"] == "vit_tiny_patch16_224"
    assert store.manifest.recorded["class_names"] == model.class_names
    folder = store.export("npz")
    with open(folder / "explanations.csv", newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert [row["class"] for row in rows] == [f"kind {row['target']}" for row in rows]


def test_folders_named_by_wordnets_ids_are_imagenets_classes():
    from lit_coiba.backbones.class_names import imagenet_names
    from lit_coiba.data.class_order import class_order

    names = imagenet_names(1000)
    order = class_order(["n01440764", "n02108422", "pug"], names)  # three folders: tench, bull mastiff, pug
    assert order.places == [0, 243, 254]
    assert class_order(["tench, Tinca tinca", "mine"], names).places == [0, -1]
    ids = [f"n{k:08d}" for k in range(1000)]
    assert Names.of(ids, names, 1000).target(243) == "bull mastiff"
    assert Names.of(ids, None, 1000).target(243) == "n00000243"


def test_another_spelling_of_imagenets_names_stays_in_order():
    from lit_coiba.backbones.class_names import imagenet_names
    from lit_coiba.data.class_order import class_order

    names = imagenet_names(1000)
    spelled = [name if number % 2 else f"{name}!" for number, name in enumerate(names)]
    assert class_order(spelled, names) is None  # by number
    moved = class_order([*spelled[1:], spelled[0]], names)
    assert moved is not None
    assert moved.places[:2] == [1, -1]
