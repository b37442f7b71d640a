import json

import pytest
import torch

from lit_coiba.attribution import Saliency
from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data import FunnyBirds
from lit_coiba.data.synthetic.part_samples import has_parts
from lit_coiba.functional.part_sets import part_subsets
from lit_coiba.modules.part_evaluator import PartEvaluator
from tests._testers.releases import BIRD_CLASSES, funny_birds
from tests._testers.runs import make_trainer

release = funny_birds  # which the tests of configs/data use too


@pytest.fixture
def root(tmp_path):
    return funny_birds(tmp_path)


@pytest.fixture
def test(root):
    return FunnyBirds(str(root)).dataset("test")


def test_ids_labels_and_classes_are_those_of_the_lists(root, test):
    train = FunnyBirds(str(root), validation=0).dataset("train")
    assert (test.ids, test.labels) == (["0/000000.png", "1/000001.png", "2/000002.png"], [0, 1, 2])
    assert (train.ids[2:4], train.labels) == (["1/000002.png", "1/000003.png"], [0, 0, 1, 1, 2, 2])
    assert test.classes[1] == "01 beak0 eye0 foot1 tail1 wing1"
    assert test.class_parts.tolist() == [list(row) for row in BIRD_CLASSES]


def test_parts_and_things_are_where_the_part_map_has_their_colors(test):
    masks, things = test.masks(1), test.background_masks(1)
    assert [mask.nonzero().tolist() for mask in masks] == [[[r, 2 * p] for r in (2, 3, 4, 5)] for p in range(5)]
    assert [mask.nonzero().tolist() for mask in things] == [[[0, 11], [1, 11]], [[3, 11], [4, 11]]]
    assert torch.equal(test.region(1), masks.any(0))
    assert test.region_version(1) != test.region_version(2) != ""


def test_interventions_are_the_pictures_with_parts_and_things_removed(test):
    pixels, masks = test.pixels(2), test.masks(2)
    found = test.subsets(2, part_subsets(5))
    assert torch.equal(found[-1], pixels)
    for picture, present in zip(found, part_subsets(5)):
        gone = masks[~present].any(0)
        assert torch.equal(picture[:, ~gone], pixels[:, ~gone])
        assert (picture[:, gone] == 100).all()
    changed = (test.without_each_object(2) != pixels).any(1)
    assert torch.equal(changed, test.background_masks(2))


def test_its_explanations_are_scored_by_parts(root, tmp_path):
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 8 * 10, 3)]
    small = Preprocessing((10, 12), 1.0, "bilinear")
    model = PartEvaluator(Backbone.wrap(torch.nn.Sequential(*layers), small), Saliency())
    table = make_trainer().parts(model, FunnyBirds(str(root)), str(tmp_path / "parts"))
    assert table.rows["Saliency"].images == 3
    assert 0 <= table.rows["Saliency"].scores.sd.mean <= 1
    assert table.rows["Saliency"].contrasted <= 1  # only the first class has two others that share two parts each


def test_without_part_maps_and_interventions_there_are_pictures(root):
    for name in ("test_part_map", "test_interventions"):
        (root / name).rename(root.parent / name)
    test = FunnyBirds(str(root)).dataset("test")
    assert test.image(0).size == (12, 10)
    assert (test.region(0), test.region_version(0)) == (None, "")
    assert has_parts(test)
    with pytest.raises(InputError, match="there is no folder test_interventions"):
        test.subsets(0, part_subsets(5))
    with pytest.raises(InputError, match="there is no folder test_part_map"):
        test.masks(0)


def test_splits_are_apart(root):
    data = FunnyBirds(str(root), validation=0.5, split="val")
    train, val = (data.dataset(split) for split in ("train", "val"))
    assert (train.labels, val.labels) == ([0, 1, 2], [0, 1, 2])
    assert not set(train.ids) & set(val.ids)


@pytest.mark.parametrize("given", ["..", "test", "test_interventions"])
def test_a_folder_above_or_in_it_will_do(given, root):
    assert FunnyBirds(str(root / given)).place.folder.samefile(root)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("dataset_test.json", [{"class_idx": 7}], "has class_idx 7, but classes.json has 0 to 2"),
        ("dataset_test.json", [{"class_idx": 0}] * 2, "1 of the 2 images that .* lists are not in"),
        ("dataset_test.json", {"class_idx": 0}, "is damaged"),
        ("classes.json", [{"class_idx": 1, "parts": {}}], "should have the classes 0, 1, ..."),
        ("parts.json", {"beak": [], "leg": []}, "has the parts beak, leg, but FunnyBirds has beak, eye"),
    ],
)
def test_lists_that_make_no_sense(root, file, content, message):
    (root / file).write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        FunnyBirds(str(root)).dataset("test")


def test_an_incomplete_folder_is_drawn(root):
    (root / "parts.json").unlink()
    with pytest.raises(InputError, match=r"is not FunnyBirds: parts.json is missing") as caught:
        FunnyBirds(str(root))
    assert "|-- test_interventions/0/*/*.png   optional: pictures with parts removed" in str(caught.value)
