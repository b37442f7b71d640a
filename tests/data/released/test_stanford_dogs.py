import numpy as np
import pytest
from scipy.io import savemat

from lit_coiba.core.errors import InputError
from lit_coiba.data import StanfordDogs
from tests._testers.releases import annotation, cells, stanford_dogs

pytestmark = pytest.mark.filterwarnings("ignore:boxes reach beyond their images")

release = stanford_dogs  # which the tests of configs/data use too
A, B = "n02085620-Chihuahua/n02085620", "n02099601-golden_retriever/n02099601"


@pytest.fixture
def root(tmp_path):
    return stanford_dogs(tmp_path)


def relist(root, part, files, labels):
    savemat(root / f"{part}_list.mat", {"file_list": cells(files), "labels": np.array([[label] for label in labels])})


def test_ids_labels_and_classes_are_those_of_the_lists(root):
    data = StanfordDogs(str(root), validation=0)
    test, train = data.dataset("test"), data.dataset("train")
    assert (test.ids, test.labels) == ([f"{A}_4.jpg", f"{B}_4.jpg"], [0, 1])
    assert train.ids == [f"{dog}_{k}.jpg" for dog in (A, B) for k in (10, 2, 33)]
    assert train.labels == [0, 0, 0, 1, 1, 1]
    assert test.classes == ["Chihuahua", "golden retriever"]
    assert test.image(0).size == (12, 10)


def test_the_region_is_the_union_of_the_boxes_as_far_as_they_are_in_the_picture(root):
    test = StanfordDogs(str(root)).dataset("test")
    inside = [[row, column] for row in range(3) for column in (1, 2, 3)]
    assert test.region(0).nonzero().tolist() == [*inside, [9, 9], [9, 10], [9, 11]]
    assert test.region(1) is None


def test_an_annotation_that_makes_no_sense_is_named(root):
    annotation(root / "Annotation" / f"{A}_4", (5, 5, 1, 1))
    with pytest.raises(InputError, match=r"annotation .*n02085620_4: the box 5, 5, 1, 1 ends before it begins"):
        StanfordDogs(str(root)).dataset("test").region(0)


def test_splits_are_apart_and_the_held_out_one_has_every_class(root):
    data = StanfordDogs(str(root), validation=0.34)
    train, val, test = (data.dataset(split) for split in ("train", "val", "test"))
    assert (train.labels, val.labels) == ([0, 0, 1, 1], [0, 1])
    assert len({*train.ids, *val.ids, *test.ids}) == 8
    assert StanfordDogs(str(root), validation=0.34).dataset("val").ids == val.ids
    assert val.region(0) is not None


def test_the_layout_of_a_mirror(root):
    (root / "lists").mkdir()
    for part in ("train", "test"):
        (root / f"{part}_list.mat").rename(root / "lists" / f"{part}_list.mat")
    for old, new in (("Images", "images"), ("Annotation", "annotations")):
        (root / old).rename(root / "moved")
        (root / new).mkdir()
        (root / "moved").rename(root / new / old)
    test = StanfordDogs(str(root)).dataset("test")
    assert test.ids == [f"{A}_4.jpg", f"{B}_4.jpg"]  # the same ids
    assert test.region(0).sum() == 12


@pytest.mark.parametrize("given", ["..", "Images", "Images/n02085620-Chihuahua", "Annotation"])
def test_a_folder_above_or_in_it_will_do(given, root):
    assert StanfordDogs(str(root / given)).place.folder.samefile(root)


def test_a_folder_without_lists_is_drawn(root):
    (root / "train_list.mat").unlink()
    with pytest.raises(InputError) as caught:
        StanfordDogs(str(root))
    assert str(caught.value) == (
        f"root: {root} is not Stanford Dogs: train_list.mat is missing. Expected:\n"
        "stanford_dogs/\n"
        "|-- Images/n02085620-Chihuahua/*.jpg  a folder for each of the breeds\n"
        "|-- train_list.mat                    MISSING: from lists.tar\n"
        "|-- test_list.mat                     from lists.tar\n"
        "|-- Annotation/n02085620-Chihuahua/*  optional: boxes"
    )


@pytest.mark.parametrize(
    ("files", "labels", "message"),
    [
        ([f"{A}_4.jpg"], [1, 1], r"test_list.mat has 1 files, but 2 labels"),
        ([f"{A}_4.jpg", f"{A}_4.jpg"], [1, 1], r"test_list.mat lists .*_4.jpg more than once"),
        (
            [f"{A}_5.jpg", f"{A}_4.jpg"],
            [1, 1],
            r"1 of the 2 images that .*test_list.mat lists are not in .*Images: .*_5.jpg",
        ),
        (
            [f"{A}_4.jpg"],
            [2],
            r"one name and number per class: n02085620-Chihuahua \(1\), n02085620-Chihuahua \(2\), n0",
        ),
        ([f"{A}_4.jpg"], [1.5], r"a label in .*test_list.mat is 1.5, but must be a whole number"),
    ],
)
def test_lists_that_make_no_sense(files, labels, message, root):
    relist(root, "test", files, labels)
    with pytest.raises(InputError, match=message):
        StanfordDogs(str(root)).dataset("test")
