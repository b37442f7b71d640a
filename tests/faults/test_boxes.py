"""Boxes in other units, outside their picture, or in files that make no sense."""

import pytest
import torch
from PIL import Image
from torch import nn

from lit_coiba.attribution import Saliency
from lit_coiba.backbones import Backbone
from lit_coiba.benchmark import DatasetRegions, MethodSource
from lit_coiba.benchmark.keys import names_of
from lit_coiba.core.batch import Batch
from lit_coiba.core.errors import InputError
from lit_coiba.data import ImageFolder
from lit_coiba.data.blocks import BlockDataset
from lit_coiba.data.files.file_dataset import FileDataset
from lit_coiba.data.files.xml_boxes import XmlBoxes, read_boxes
from lit_coiba.metrics import EnergyPointing
from lit_coiba.modules.scorer import Scorer


def dataset(tmp_path, *rows, size=(256, 64)):
    """Pictures a.png, b.png, ... of one size, with a box a row."""
    root = tmp_path / "im"
    root.mkdir(exist_ok=True)
    names = [f"{chr(97 + k)}.png" for k in range(len(rows))]
    for name in names:
        Image.new("RGB", size).save(root / name)
    table = "".join(f"{name},{row}\n" for name, row in zip(names, rows))
    (tmp_path / "t.csv").write_text(f"file,x_min,y_min,x_max,y_max\n{table}")
    return ImageFolder(str(root), csv=str(tmp_path / "t.csv")).dataset("predict")


def corners(mask):
    places = mask.nonzero()
    return [*places.amin(0).flip(0).tolist(), *places.amax(0).flip(0).tolist()]


def test_shares_are_multiplied(tmp_path):
    """models_and_data.md E: one pixel instead of 4096."""
    found = dataset(tmp_path, "0.25,0.25,0.75,0.75", "0,0,1,1", "0.1,0,0.3,0.5", size=(256, 64))
    assert corners(found.region(0)) == [64, 16, 191, 47]
    assert found.region(0).sum() == 4096
    assert found.region(1).all()
    assert corners(found.region(2)) == [25, 0, 76, 31]


def test_products_of_shares_are_not_spoilt_by_rounding(tmp_path):
    found = dataset(tmp_path, *(f"{k / 10!r},0,{(k + 1) / 10!r},1" for k in range(10)), size=(30, 4))
    assert [corners(found.region(k))[::2] for k in range(10)] == [[3 * k, 3 * k + 2] for k in range(10)]


def test_pixels_stay_pixels(tmp_path):
    found = dataset(tmp_path, "64,16,191,47", "0,0,1,1", "2.7,3.2,4.9,5.5")
    assert [corners(found.region(k)) for k in range(3)] == [[64, 16, 191, 47], [0, 0, 1, 1], [2, 3, 4, 5]]


def test_shares_among_pixels_are_refused_with_their_line(tmp_path):
    with pytest.raises(InputError, match=r"line 3 of .* a box with sides from 0 to 1, .* line 2 one with others"):
        dataset(tmp_path, "64,16,191,47", "0.25,0.25,0.75,0.75")


@pytest.mark.parametrize("row", ["600,200,900,400", "-9,-9,-1,-1", "256,0,300,9", "1e300,0,1e301,9"])
def test_a_box_outside_the_picture_is_a_failure_with_its_reason(row, tmp_path):
    """models_and_data.md E and use.md, runs 10."""
    found = dataset(tmp_path, row)
    with pytest.raises(OSError, match=r"the box .* lies outside the image, which has 256 x 64 pixels"):
        found.region(0)


def test_a_box_that_sticks_out_is_cut_off_and_told_once(tmp_path):
    found = dataset(tmp_path, "200,30,400,40", "-20,0,5,5")
    with pytest.warns(UserWarning, match="boxes reach beyond their images .* such as 200, 30, 400, 40 of a.png, which"):
        assert corners(found.region(0)) == [200, 30, 255, 40]
    assert corners(found.region(1)) == [0, 0, 5, 5]  # a second warning would be an error


def test_ends_that_are_not_included_are_no_news(tmp_path):
    assert corners(dataset(tmp_path, "0,0,256,64").region(0)) == [0, 0, 255, 63]


def test_in_a_benchmark_only_the_image_fails(tmp_path):
    images = dataset(tmp_path, "600,200,900,400", "64,16,191,47")
    model = Backbone.wrap(
        nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval(), image_size=16
    )
    blocks = BlockDataset(images, model.preprocessing, 2)
    scorer = Scorer(model, {"energy": EnergyPointing()})
    scorer.sources = {"saliency": MethodSource(Saliency(), {"a.png": [0], "b.png": [1]})}
    scorer.regions = DatasetRegions(images, blocks.transform)
    assert scorer.regions.known
    batch = blocks[0]
    assert isinstance(batch, Batch)
    record = scorer.predict_step(batch).stores["saliency"]
    assert record.ids == ("b.png",)
    assert [(failure.id, failure.reason[:27]) for failure in record.failures] == [
        ("a.png", "the box 600, 200, 900, 400 ")
    ]


@pytest.mark.parametrize(
    ("size", "expected"),
    [((80, 40), [10, 10, 19, 19]), ((40, 20), [5, 5, 9, 9]), ((160, 80), [20, 20, 39, 39]), ((40, 80), None)],
)
def test_boxes_of_an_annotation_are_of_the_picture_whose_size_it_tells(size, expected, tmp_path):
    """Another unit: ImageNet's boxes beside resized or turned copies of its pictures."""
    Image.new("RGB", size).save(tmp_path / "a.png")
    (tmp_path / "a.xml").write_text(
        "<annotation><size><width>80</width><height>40</height></size><object><bndbox><xmin>10</xmin><ymin>10</ymin>"
        "<xmax>19</xmax><ymax>19</ymax></bndbox></object></annotation>"
    )
    found = FileDataset(tmp_path, ["a.png"], [0], boxes=XmlBoxes(tmp_path, depth=1))
    if expected is not None:
        assert corners(found.region(0)) == expected
    else:
        with pytest.raises(OSError, match="its boxes are of an image of 80 x 40 pixels, but it has 40 x 80"):
            found.region(0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<a>" * 300_000, "elements 33 deep"),
        ('<?xml version="1.0" encoding="shift_jis"?><annotation/>', "is not XML"),
        ('<?xml version="1.0" encoding="nothing"?><annotation/>', "is not XML"),
        ("<annotation>\0</annotation>", "is not XML"),
        ("<annotation><object><bndbox><xmin>nan</xmin></bndbox></object></annotation>", "is not four numbers"),
        (
            f"<annotation><object><bndbox><xmin>{'1' * 9000}</xmin></bndbox></object></annotation>",
            "is not four numbers",
        ),
    ],
)
def test_annotations_that_make_no_sense_are_refused_in_no_time(content, message, tmp_path):
    (tmp_path / "a.xml").write_text(content)
    with pytest.raises(InputError, match=message) as refused:
        read_boxes(tmp_path / "a.xml")
    assert len(str(refused.value)) < 500


def test_stores_whose_names_meet_in_one_keep_their_rows():
    """Another escape that was not one to one: a/b-c and a-b/c."""
    assert sorted(names_of(["a/b-c", "a-b/c", "x/c"]).values()) == ["a-b/c", "a/b-c", "x/c"]
    assert torch.tensor(len(names_of(["s", "x/s"]))) == 2
