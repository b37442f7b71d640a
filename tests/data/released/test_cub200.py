import pickle

import pytest
import torch
from jsonargparse import ArgumentParser
from PIL import Image

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data import CUB200, BlockDataset, Transform
from lit_coiba.data.released.hold_out import held_out
from tests._testers.releases import CUB_PARTS, cub200, picture, text

release = cub200  # which the tests of configs/data use too
A, B = "001.Black_footed_Albatross", "002.Laysan_Albatross"


def ids(*numbers):
    """Names by the numbers in images.txt."""
    return [f"{A if k <= 5 else B}/{(A if k <= 5 else B)[4:]}_{(k - 1) % 5:04}_{699 + k}.jpg" for k in numbers]


@pytest.fixture
def root(tmp_path):
    return cub200(tmp_path)


def edit(root, file, old, new):
    path = root / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


class TestSplits:
    def test_ids_labels_and_classes_are_those_of_the_lists(self, root):
        data = CUB200(str(root), validation=0)
        test, train = data.dataset("test"), data.dataset("train")
        assert (test.ids, test.labels) == (ids(1, 6, 10), [0, 1, 1])
        assert (train.ids, train.labels) == (ids(2, 3, 4, 5, 7, 8, 9), [0, 0, 0, 0, 1, 1, 1])
        assert test.classes == train.classes == ["Black footed Albatross", "Laysan Albatross"]
        assert data.num_classes == 2
        assert data.dataset("predict") is test

    def test_a_part_of_every_class_of_train_is_held_out(self, root):
        data = CUB200(str(root), split="val", validation=0.3)
        train, val, test = (data.dataset(split) for split in ("train", "val", "test"))
        whole = CUB200(str(root), validation=0).dataset("train")
        assert val.ids == [whole.ids[k] for k in held_out(whole.ids, whole.labels, 0.3)]
        assert sorted(val.labels) == [0, 1]
        assert sorted(train.ids + val.ids) == whole.ids
        assert not set(test.ids) & set(whole.ids)
        assert data.dataset("predict") is val
        assert CUB200(str(root), validation=0.3).dataset("val").ids == val.ids

    def test_pictures_reach_the_model(self, root):
        batch = BlockDataset(CUB200(str(root)).dataset("test"), Preprocessing((8, 8), 1.0, "nearest"), 4)[0]
        assert batch.ids == tuple(ids(1, 6, 10))
        assert batch.images.shape == (3, 3, 8, 8)

    def test_fitting_goes_without_validation_where_none_is_held_out(self, root):
        data = CUB200(str(root), validation=0, augment=True)
        data.preprocessing = Preprocessing((8, 8), 1.0)
        data.setup("fit")
        assert data.val_dataloader() == []
        assert data.examples("train").augmentation is not None
        assert data.examples("test").augmentation is None
        with pytest.raises(InputError, match="split: CUB200 has no split val here, only train, test"):
            data.dataset("val")


class TestRegions:
    def test_without_masks_it_is_the_bounding_box(self, root):
        region = CUB200(str(root)).dataset("test").region(1)  # picture 6: x 5, y 2, 3 wide, 4.5 high
        assert region.shape == (10, 12)
        assert region.nonzero().tolist() == [[row, column] for row in range(2, 7) for column in (5, 6, 7)]

    @pytest.mark.parametrize("place", ["segmentations", "../segmentations"])
    def test_a_mask_is_where_more_than_half_of_the_annotators_saw_the_bird(self, root, place):
        levels = torch.zeros(10, 12, dtype=torch.uint8)
        levels[3, 4], levels[4, 4], levels[5, 4] = 102, 153, 255  # of five: two, three, all
        file = (root / place / ids(1)[0]).with_suffix(".png")
        file.parent.mkdir(parents=True)
        Image.fromarray(levels.numpy()).save(file)
        dataset = CUB200(str(root)).dataset("test")
        assert dataset.region(0).nonzero().tolist() == [[4, 4], [5, 4]]
        assert dataset.region(1).sum() == 15  # has no mask: the box

    def test_a_mask_of_another_size_is_refused(self, root):
        picture((root / "segmentations" / ids(1)[0]).with_suffix(".png"), (3, 3))
        with pytest.raises(OSError, match="has 3 x 3 pixels, but its image has 12 x 10"):
            CUB200(str(root)).dataset("test").region(0)


class TestParts:
    def test_parts_are_named_points(self, root):
        dataset = CUB200(str(root)).dataset("test")
        parts = dataset.parts(2)  # picture 10
        assert parts.names == tuple(CUB_PARTS)
        assert parts.xy.tolist() == [[10, 1.5], [10, 2.5], [0, 0], [10, 4.5]]
        assert parts.visible.tolist() == [True, True, False, True]

    def test_those_of_held_out_pictures_are_their_own(self, root):
        data = CUB200(str(root))
        for split in ("train", "val"):
            dataset = data.dataset(split)
            numbers = {name: k for k, name in enumerate(ids(*range(1, 11)), 1)}
            assert [int(dataset.parts(k).xy[0, 0]) for k in range(len(dataset))] == [
                numbers[name] for name in dataset.ids
            ]

    def test_they_go_through_the_transform(self, root):
        dataset = CUB200(str(root)).dataset("test")
        moved = Transform(Preprocessing((20, 20), 1.0)).keypoints(dataset.parts(2), 10, 12)
        assert moved.xy[1].tolist() == [18, 5]  # twice as large, two pixels cut off at the left
        assert moved.visible.tolist() == [True, True, False, True]

    def test_a_part_without_a_line_is_not_visible(self, root):
        edit(root, "parts/part_locs.txt", "10 2 10.0 2.5 1\n", "")
        assert CUB200(str(root)).dataset("test").parts(2).visible.tolist() == [True, False, False, True]
        text(root / "parts" / "part_locs.txt", "1 1 1 1 1")
        assert not CUB200(str(root)).dataset("test").parts(2).visible.any()

    def test_a_release_without_them_has_none(self, root):
        (root / "parts" / "part_locs.txt").unlink()
        assert CUB200(str(root)).dataset("test").parts(0) is None

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (
                "1 2 1.0 2.5 1\n",
                "1 9 1.0 2.5 1\n",
                r"line 2 of .*part_locs.txt is about part 9, but .*parts.txt has 1 to 4",
            ),
            ("1 2 1.0 2.5 1\n", "1 1 1.0 2.5 1\n", r"line 2 of .* is about part 1 of image 1, like an earlier line"),
            ("1 2 1.0 2.5 1\n", "1 2 1.0 2.5 7\n", r"line 2 of .* but must be: image_id part_id x y visible"),
        ],
    )
    def test_lines_that_make_no_sense_are_named(self, old, new, message, root):
        edit(root, "parts/part_locs.txt", old, new)
        with pytest.raises(InputError, match=message):
            CUB200(str(root)).dataset("test").parts(0)

    def test_a_dataset_can_be_sent_to_another_process(self, root):
        dataset = pickle.loads(pickle.dumps(CUB200(str(root)).dataset("val")))
        assert dataset.parts(0).names == tuple(CUB_PARTS)


class TestRefusals:
    def test_an_incomplete_folder_is_drawn(self, root):
        (root / "classes.txt").unlink()
        with pytest.raises(InputError) as caught:
            CUB200(str(root.parent))
        told = str(caught.value)
        assert told.startswith(
            f"root: {root.parent} is not CUB-200-2011: the closest match is {root}, where classes.txt is missing. "
            "Expected:\n"
            "CUB_200_2011/\n|-- images/001.Black_footed_Albatross/*.jpg "
        )
        assert [line.split()[1] for line in told.splitlines() if "MISSING" in line] == ["classes.txt"]

    @pytest.mark.parametrize("given", ["..", ".", "images", f"images/{A}", "parts"])
    def test_a_folder_above_or_in_it_will_do(self, given, root):
        data = CUB200(str(root / given))
        assert data.dataset("test").ids == ids(1, 6, 10)
        assert data.place.folder.samefile(root)

    @pytest.mark.parametrize(
        ("file", "old", "new", "message"),
        [
            ("images.txt", "3 001", "x 001", r"line 3 of .*images.txt is 'x 001.*', but must be: image_id image_name"),
            ("images.txt", "3 001", "2 001", r"line 3 of .*images.txt has image_id 2, like an earlier line"),
            ("images.txt", "0001_701", "0000_700", r"images.txt lists 001.*_0000_700.jpg more than once"),
            (
                "images.txt",
                "0001_701",
                "0009_701",
                r"1 of the 10 images that .*images.txt lists are not in .*_0009_701.jpg;",
            ),
            ("images.txt", f"1 {A}", "1 ../images", "is outside"),
            ("image_class_labels.txt", "4 1\n", "4 1 1\n", r"line 4 of .* is '4 1 1', but must be: image_id class_id"),
            ("image_class_labels.txt", "4 1\n", "", r"image_class_labels.txt has no line for image 4"),
            ("image_class_labels.txt", "4 1\n", "4 1\n77 1\n", r"images.txt has no line for image 77"),
            ("image_class_labels.txt", "4 1\n", "4 3\n", r"no class 1 to 2 is that of image 4 \(3\)"),
            (
                "train_test_split.txt",
                "4 1\n",
                "4 2\n",
                r"line 4 of .* is '4 2', but must be: image_id is_training_image",
            ),
            ("classes.txt", "2 002", "3 002", r"the 2 numbers in .*classes.txt are not 1 to 2"),
            ("bounding_boxes.txt", "2 1.0", "2 nan", r"line 2 of .* but must be: image_id x y width height"),
        ],
    )
    def test_lists_that_make_no_sense(self, file, old, new, message, root):
        edit(root, file, old, new)
        data = CUB200(str(root))
        with pytest.raises(InputError, match=message):
            data.dataset("test")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"validation": 1.0}, "validation is 1.0, but must be a share from 0 to less than 1"),
            ({"validation": -0.1}, "validation is -0.1"),
            ({"split": "dev"}, "split is 'dev', but must be one of train, test, val"),
            ({"split": "val", "validation": 0}, "split is 'val', but must be one of train, test"),
            ({"limit": 0}, "limit is 0"),
        ],
    )
    def test_arguments(self, arguments, message, root):
        with pytest.raises(InputError, match=message):
            CUB200(str(root), **arguments)


def test_every_argument_can_come_from_a_command_line(root):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(CUB200, "data")
    data = parser.instantiate(
        parser.parse_args([f"--data.root={root}", "--data.validation=0.2", "--data.split=val"])
    ).data
    assert (data.split, data.validation, data.augment, data.batch_size) == ("val", 0.2, False, 8)
