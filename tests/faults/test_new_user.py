"""What people who are new to the library try first: folders, tables, settings, models and files of weights."""

import dataclasses
import os
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn

from lit_coiba.attribution import Saliency
from lit_coiba.backbones import Backbone
from lit_coiba.benchmark.keys import names_of
from lit_coiba.cli.parsing.config_files import read_configs
from lit_coiba.cli.parsing.expected_values import KeyArguments
from lit_coiba.cli.parsing.messages import parsing_message
from lit_coiba.cli.parsing.quick_check import check_words
from lit_coiba.cli.verbs import all_verbs
from lit_coiba.core.errors import InputError
from lit_coiba.data import ImageFolder
from lit_coiba.files.given_path import given_path
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.scorer import Scorer
from lit_coiba.store import ExplanationStore
from lit_coiba.trainer import Trainer
from tests.faults.nets import SIZE, Net


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (200, 30, 30)).save(path)


def read(root, **arguments):
    """Labels by id, classes, and what was said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        dataset = ImageFolder(root, num_workers=0, **arguments).dataset("predict")
    return dict(zip(dataset.ids, dataset.labels)), dataset.classes, " ".join(str(one.message) for one in said)


def refusal(do):
    with pytest.raises(InputError) as caught:
        do()
    assert len(str(caught.value)) < 500
    return str(caught.value)


# Folders


def test_a_link_back_to_the_root_is_no_class(tmp_path):
    for name in ("cat", "dog"):
        picture(tmp_path / "real" / name / "a.png")
    root = tmp_path / "root"
    root.mkdir()
    (root / "cat").symlink_to(tmp_path / "real" / "cat")
    (root / "dog").symlink_to(Path("../real/dog"))
    (root / "all").symlink_to(root)  # sorts first: it was class 0, with no image
    labels, classes, _ = read(root)
    assert classes == ["cat", "dog"]
    assert labels == {"cat/a.png": 0, "dog/a.png": 1}


@pytest.mark.parametrize(
    ("one", "other", "how"),
    [
        (unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café"), "how their accents are written"),
        ("Cat", "cat", "in case or blanks"),
        ("sea lion", "sea  lion", "in case or blanks"),
    ],
)
@pytest.mark.parametrize("source", ["folders", "table"])
def test_two_classes_that_look_the_same_are_told(tmp_path, one, other, how, source):
    if source == "folders":
        for name in (one, other):
            picture(tmp_path / name / "a.png")
        _, classes, said = read(tmp_path)
    else:
        for name in "ab":
            picture(tmp_path / f"{name}.png")
        (tmp_path / "t.csv").write_text(f"file,label\na.png,{one}\nb.png,{other}\n")
        _, classes, said = read(tmp_path, csv=str(tmp_path / "t.csv"))
    assert len(classes) == 2
    assert how in said


@pytest.mark.parametrize("give", [str, Path], ids=["text", "pathlib"])
def test_paths_may_be_of_pathlib(tmp_path, give):
    for name in ("cat", "dog"):
        picture(tmp_path / "im" / name / "a.png")
    (tmp_path / "names.txt").write_text("dog\ncat\n")
    (tmp_path / "t.csv").write_text("file,label\ncat/a.png,cat\n")
    names = give(tmp_path / "names.txt")
    assert read(give(tmp_path / "im"), classes=names)[0] == {"cat/a.png": 1, "dog/a.png": 0}
    assert read(give(tmp_path / "im"), csv=give(tmp_path / "t.csv"), classes=names)[0] == {"cat/a.png": 1}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["cat", "dog"], "a list"),
        (3, "an int"),
        ("s3://bucket/images", "the URL s3://bucket/images"),
        ("https://example.com/a.zip", "URL"),
        (" ", "empty"),
    ],
)
def test_what_is_no_path_is_refused_in_words(given, told):
    assert told in refusal(lambda: given_path(given, "root"))


def test_a_home_folder_in_a_setting_is_expanded_for_every_verb(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        picture(tmp_path / "home" / "im" / f"{name}.png")
    model = Explainer(Backbone.wrap(Net().eval(), image_size=SIZE), Saliency())
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    trainer.explain(model, ImageFolder("~/im", num_workers=0), "~/store", pictures=False)
    assert not (tmp_path / "~").exists()  # a folder of this name was made in the working directory
    assert len(ExplanationStore(tmp_path / "home" / "store")) == len(ExplanationStore("~/store")) == 2


# Tables


@pytest.mark.parametrize("written", ["x\\sub\\a.png", ".\\x\\sub\\a.png", "x/sub\\a.png"])
def test_paths_with_backslashes_are_found(tmp_path, written):
    picture(tmp_path / "x/sub/a.png")
    (tmp_path / "t.csv").write_text(f"file,label\n{written},cat\n")
    assert read(tmp_path, csv=str(tmp_path / "t.csv"))[0] == {"x/sub/a.png": 0}


def test_a_backslash_leads_out_of_no_root(tmp_path):
    picture(tmp_path / "out.png")
    picture(tmp_path / "root/in.png")
    (tmp_path / "t.csv").write_text("file\nin.png\n..\\out.png\n")
    data = ImageFolder(tmp_path / "root", csv=str(tmp_path / "t.csv"), num_workers=0)
    with pytest.raises(InputError, match="does not exist"):
        data[data.dataset("predict").ids[0]]


@pytest.mark.parametrize("table", ["NFC", "NFD"])
def test_paths_with_accents_are_found_however_the_table_writes_them(tmp_path, table):
    file = "NFD" if table == "NFC" else "NFC"
    picture(tmp_path / unicodedata.normalize(file, "café/é.png"))
    (tmp_path / "t.csv").write_text(unicodedata.normalize(table, "file,label\ncafé/é.png,1\n"), encoding="utf-8")
    data = ImageFolder(str(tmp_path), csv=str(tmp_path / "t.csv"), num_workers=0)
    [name] = data.dataset("predict").ids
    assert data[name].size == (40, 30)


@pytest.mark.parametrize("label", ["1.5", "nan", "1,000"])
def test_an_error_about_a_label_names_its_line_once(tmp_path, label):
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    (tmp_path / "t.csv").write_text(f'file,label\na.png,"{label}"\nb.png,0\n')
    assert refusal(lambda: read(tmp_path, csv=str(tmp_path / "t.csv"))).count("line 2") == 1


@pytest.mark.parametrize(
    ("header", "row", "told"),
    [
        ("file,species", "a.png,cat", "species is not read"),
        ("file,cat,dog", "a.png,1,0", "cat, dog are not read"),
        ("file,label,x,y,w,h", "a.png,1,2,3,10,10", "x, y, w, h of"),
        ("file,label,X,Y,Width,Height", "a.png,1,2,3,10,10", "X, Y, Width, Height of"),
        ("file,label,bbox_left,bbox_top,bbox_width,bbox_height", "a.png,1,2,3,10,10", "x_max is x_min + width - 1"),
        ("file,label,bbox", 'a.png,1,"[2, 3, 10, 10]"', "bbox of"),
    ],
)
def test_columns_that_look_like_labels_or_boxes_and_are_not_read_are_told(tmp_path, header, row, told):
    picture(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text(f"{header}\n{row}\n")
    assert told in read(tmp_path, csv=str(tmp_path / "t.csv"))[2]


@pytest.mark.parametrize("header", ["file", "file,label,width,height", "file,label,x_min,y_min,x_max,y_max,x,y,w,h"])
def test_other_columns_are_no_matter(tmp_path, header):
    picture(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text(f"{header}\na.png{''.join(f',{n}' for n in range(header.count(',')))}\n")
    assert not read(tmp_path, csv=str(tmp_path / "t.csv"))[2]


@pytest.mark.parametrize(
    ("start", "told"),
    [(b"PK\x03\x04", "Excel"), (b"PAR1", "Parquet"), (b"\xff\xfef\0i\0", "UTF-16"), (b"\x1f\x8b\x08", "compressed")],
)
def test_a_table_of_another_kind_is_called_what_it_is(tmp_path, start, told):
    picture(tmp_path / "a.png")
    (tmp_path / "t.csv").write_bytes(start + bytes(range(256)))
    sentence = refusal(lambda: read(tmp_path, csv=str(tmp_path / "t.csv")))
    assert told in sentence
    assert "\\x" not in sentence


@pytest.mark.parametrize(
    ("content", "told"),
    [("cat\ncat\ndog\n", "name of several classes"), ('["cat", "dog"]', "JSON"), ('{"0": ["n1", "cat"]}', "JSON")],
)
def test_files_of_class_names_that_are_something_else(tmp_path, content, told):
    for name in ("cat", "dog"):
        picture(tmp_path / "im" / name / "a.png")
    (tmp_path / "names.txt").write_text(content)
    assert told in refusal(lambda: read(tmp_path / "im", classes=str(tmp_path / "names.txt")))


# Settings


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("data:\n  batch_size: 2\n  batch_size: 3\n", "line 3 sets batch_size again"),
        ("data: {root: a}\ntrainer: {}\ndata: {root: b}\n", "line 3 sets data again"),
        ("data.batch_size: 2\n", "data: {batch_size: ...}"),
    ],
)
def test_settings_that_would_be_lost_are_refused(tmp_path, content, told):
    (tmp_path / "c.yaml").write_text(content)
    assert told in refusal(lambda: read_configs(["-c", str(tmp_path / "c.yaml")], {}))


def test_anchors_and_merges_are_no_second_key(tmp_path):
    (tmp_path / "c.yaml").write_text("data: &a {batch_size: 2}\nmodel:\n  <<: *a\n  batch_size: 3\n")
    assert read_configs(["-c", str(tmp_path / "c.yaml")], {})[1][1].content["model"]["batch_size"] == 3


@pytest.mark.parametrize("size", ["32", "32x32", (3, 32, 32), (32,), 0, -1, True, 32.0, (32, 0), (32, "32")])
def test_a_size_of_images_is_one_or_two_whole_numbers(size):
    assert "image_size is" in refusal(lambda: Backbone.wrap(Net().eval(), image_size=size))


def test_sizes_of_numpy_are_taken():
    assert Backbone.wrap(Net().eval(), image_size=np.int64(SIZE)).preprocessing.size == (SIZE, SIZE)
    assert Backbone.wrap(Net().eval(), image_size=[SIZE, SIZE]).preprocessing.size == (SIZE, SIZE)


# Models


@dataclasses.dataclass
class Output:
    logits: torch.Tensor
    hidden: object = None


class Answering(Net):
    def forward(self, x):
        return Output(super().forward(x))


class Keyed(Net):
    def forward(self, x):
        return {"logits": super().forward(x), "features": x}


class Heads(Net):
    def forward(self, x):
        return super().forward(x), super().forward(x)


class Two(Net):
    def forward(self, x, age):
        return super().forward(x) + age


class Named(Net):
    def forward(self, x):
        return super().forward(x["image"])


class Lacking(Net):
    def forward(self, x):
        return super().forward(x.pixel_values)


class Multiples(Net):
    def forward(self, x):
        assert x.shape[-1] % 32 == 0, "sides must be multiples of 32"
        return super().forward(x)


@pytest.mark.parametrize(
    ("model", "size", "told"),
    [
        (Answering, SIZE, "an Output with logits, hidden, not logits (B, K), one logit per class: wrap a module whose"),
        (Answering, SIZE, "model(images).logits"),
        (Keyed, SIZE, "model(images)['logits']"),
        (Heads, SIZE, "model(images)[0]"),
        (Two, SIZE, "'age'): choose another image_size, or, if it is not the size, wrap a module"),
        (Named, SIZE, "wrap a module whose forward takes images (B, 3, H, W), and nothing else"),
        (Lacking, SIZE, "AttributeError: "),
        (Multiples, 40, "such as 64 x 64, on which it runs"),
        (Multiples, (64, 40), "such as 64 x 64, on which it runs"),
    ],
)
def test_a_model_that_cannot_be_wrapped_is_told_why_and_how(model, size, told):
    assert told in refusal(lambda: Backbone.wrap(model().eval(), image_size=size))


def test_models_without_weights_are_refused():
    lazy = nn.Sequential(nn.LazyConv2d(8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.LazyLinear(4))
    assert "run it once" in refusal(lambda: Backbone.wrap(lazy.eval(), image_size=SIZE))
    assert "device meta" in refusal(lambda: Backbone.wrap(Net().to("meta").eval(), image_size=SIZE))
    lazy(torch.zeros(1, 3, SIZE, SIZE))
    assert Backbone.wrap(lazy.eval(), image_size=SIZE).num_classes == 4


def test_features_only_has_no_classifier():
    told = refusal(lambda: Backbone("resnet10t", timm_kwargs={"features_only": True}, image_size=64))
    assert "no classifier" in told
    assert "features_only" in told


# Files of weights


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"<!DOCTYPE html><html><head><title>404 Not Found</title></head><body></body></html>", "download it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abcdef0123456789\nsize 12345\n", "git lfs pull"),
    ],
)
@pytest.mark.parametrize("suffix", ["pth", "safetensors", "ckpt"])
def test_text_in_the_place_of_weights_is_called_text(tmp_path, content, told, suffix):
    (tmp_path / f"w.{suffix}").write_bytes(content)
    sentence = refusal(lambda: Backbone("resnet10t", checkpoint=str(tmp_path / f"w.{suffix}"), num_classes=2))
    assert told in sentence
    assert "is text, not a file of tensors" in sentence
    assert "run code" not in sentence


def test_arrays_of_numpy_in_the_place_of_tensors_are_named(tmp_path):
    model = timm.create_model("resnet10t", num_classes=2)
    torch.save({name: tensor.numpy() for name, tensor in model.state_dict().items()}, tmp_path / "w.pth")
    told = refusal(lambda: Backbone("resnet10t", checkpoint=str(tmp_path / "w.pth"), num_classes=2))
    assert "arrays of numpy" in told
    assert "tensors" in told


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "model.backbone."])
def test_prefixes_of_wrappers_are_taken_off(tmp_path, prefix):
    model = timm.create_model("resnet10t", num_classes=2).eval()
    torch.save({prefix + name: tensor for name, tensor in model.state_dict().items()}, tmp_path / "w.pth")
    loaded = Backbone("resnet10t", checkpoint=os.fspath(tmp_path / "w.pth"), num_classes=2, image_size=64).eval()
    images = torch.randn(1, 3, 64, 64)
    assert torch.equal(loaded(images), model(images))


# Stores and verbs


def test_stores_of_other_models_are_refused_before_anything_is_scored(tmp_path):
    for name in "ab":
        picture(tmp_path / "im" / f"{name}.png")
    data = ImageFolder(tmp_path / "im", num_workers=0)
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    models = [Backbone.wrap(Net(classes).eval(), image_size=SIZE) for classes in (3, 4)]
    for number, model in enumerate(models):
        trainer.explain(Explainer(model, Saliency(), targets=1), data, tmp_path / f"s{number}", pictures=False)
    scorer = Scorer(models[0])
    stores = [str(tmp_path / "s0"), str(tmp_path / "s1")]
    told = refusal(lambda: trainer.benchmark(scorer, data, stores, tmp_path / "table"))
    assert "s1 explains another model" in told
    assert not (tmp_path / "table").exists()


@pytest.mark.parametrize("other", ["./runs/a", "runs/a/", "runs/../runs/a", "~/runs/a"])
def test_one_store_by_two_names_is_one(tmp_path, monkeypatch, other):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "runs/a").mkdir(parents=True)
    assert "twice" in refusal(lambda: names_of(["runs/a", other]))
    assert list(names_of([Path("runs/a"), "runs/b"])) == ["a", "b"]


@pytest.mark.parametrize(
    ("verb", "word", "meant"),
    [
        ("explain", "--data-root", "--data.root"),
        ("explain", "--data_batch_size", "--data.batch_size"),
        ("explain", "--model-backbone-name", "--model.backbone.name"),
        ("fit", "--trainer-max-epochs", "--trainer.max_epochs"),
        ("statistics", "--output", "--file"),
        ("explain", "--output", "--store"),
    ],
)
def test_keys_as_other_programs_write_them_are_understood(verb, word, meant):
    assert f"did you mean {meant}" in refusal(lambda: check_words(all_verbs()[verb], [word, "x"]))


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (
            "Parser key \"model.backbone\": Parameter 'path' from 'mine.build' does not specify a type.",
            "the argument path of mine.build has no type",
        ),
        ('Parser key "model.backbone": Unexpected import path format: mine.build()', "'mine.build()' is no name"),
        ("Option 'model.weights' is not accepted", "did you mean ckpt_path?"),
    ],
)
def test_words_of_the_parser_become_ours(raised, told):
    assert told in parsing_message(ValueError(raised), ["ckpt_path", "model.lr"], [], KeyArguments({}))
