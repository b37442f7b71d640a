import os
import sys

import pytest
import torch
from PIL import Image

from lit_coiba.core.errors import InputError
from lit_coiba.data.files.boxes import Box
from lit_coiba.data.files.file_dataset import FileDataset
from lit_coiba.data.files.listing import class_folders, find_images, holds, subfolders


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def test_images_are_found_at_any_depth_sorted_and_hidden_ones_left_out(tmp_path):
    touch(tmp_path, "b.JPG", "a/x/1.png", "a/2.webp", "a.txt", ".h.jpg", "a/._1.png", ".cache/3.jpg", "noending")
    assert find_images(tmp_path) == ["a/2.webp", "a/x/1.png", "b.JPG"]


def test_links_are_followed_but_not_in_circles(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    touch(root, "a/1.jpg", "b/2.jpg")
    touch(outside, "3.jpg")
    (root / "out").symlink_to(outside)
    (root / "a" / "to_b").symlink_to(root / "b")
    (root / "b" / "to_a").symlink_to(root / "a")
    (root / "a" / "up").symlink_to(root)
    (root / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    found = find_images(root)
    assert {"a/1.jpg", "a/to_b/2.jpg", "b/2.jpg", "b/to_a/1.jpg", "gone.jpg", "out/3.jpg"} <= set(found)
    assert max(name.count("/") for name in found) <= 3


def test_only_what_can_be_read_as_a_file_is_found(tmp_path):
    touch(tmp_path, "folder.jpg/1.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert find_images(tmp_path) == ["folder.jpg/1.jpg"]


def test_class_folders_hold_images(tmp_path):
    touch(tmp_path, "dog/deep/1.jpg", "cat/1.jpg", "notes/readme.txt", ".git/x.jpg", "stray.jpg")
    (tmp_path / "empty").mkdir()
    assert subfolders(tmp_path) == ["cat", "dog", "empty", "notes"]
    assert class_folders(tmp_path) == ["cat", "dog"]
    assert [holds(tmp_path / name) for name in subfolders(tmp_path)] == ["images", "images", "nothing", "files"]


def test_a_folder_that_cannot_be_listed_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot list the folder .*none"):
        find_images(tmp_path / "none")


def test_samples_are_sorted_with_their_labels(tmp_path):
    dataset = FileDataset(tmp_path, ["b.png", "a/c.png", "B.png"], [1, 2, 3], ["x", "y"])
    assert (dataset.ids, dataset.labels, dataset.classes) == (["B.png", "a/c.png", "b.png"], [3, 2, 1], ["x", "y"])


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
def test_a_name_that_is_not_utf8_gets_a_printable_id_and_is_read(tmp_path):
    name = os.fsdecode(b"k\xfche.png")
    Image.new("RGB", (3, 2)).save(tmp_path / name)
    dataset = FileDataset(tmp_path, find_images(tmp_path), [0])
    assert dataset.ids == ["k\\xfche.png"]
    assert dataset.image(0).size == (3, 2)


def test_the_region_is_the_union_of_the_boxes_both_ends_included(tmp_path):
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png")
    Image.new("RGB", (6, 4)).save(tmp_path / "b.png")
    boxes = {"a.png": [Box(1, 1, 2, 1), Box(4, 2, 6, 4)]}
    dataset = FileDataset(tmp_path, ["a.png", "b.png"], [0, 0], boxes=boxes)
    expected = torch.tensor([[0, 0, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 1, 1]])
    assert torch.equal(dataset.region(0), expected.bool())
    assert dataset.region(1) is None


def test_boxes_can_come_from_anything_that_tells_them_by_name(tmp_path):
    class Everywhere:
        def get(self, name):
            return [Box(0, 0, 0, 0)] if name == "a.png" else None

    Image.new("RGB", (2, 1)).save(tmp_path / "a.png")
    dataset = FileDataset(tmp_path, ["a.png", "b.png"], [0, 0], boxes=Everywhere())
    assert dataset.region(0).tolist() == [[True, False]]
    assert dataset.region(1) is None


def test_boxes_are_those_of_the_upright_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png", exif=exif)
    dataset = FileDataset(tmp_path, ["a.png"], [0], boxes={"a.png": [Box(0, 5, 0, 5)]})
    assert dataset.image(0).size == (4, 6)
    assert dataset.region(0).nonzero().tolist() == [[5, 0]]


def test_a_missing_file_is_refused_when_it_is_read(tmp_path):
    dataset = FileDataset(tmp_path, ["a.png"], [0], boxes={"a.png": [Box(0, 0, 1, 1)]})
    for read in (dataset.image, dataset.region):
        with pytest.raises(FileNotFoundError, match="the file does not exist"):
            read(0)
