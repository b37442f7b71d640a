import pickle

import pytest

from lit_coiba.core.errors import InputError
from lit_coiba.data import ImageNet
from tests._testers.releases import (
    WNIDS,
    annotation,
    imagenet_class_folders,
    imagenet_devkit,
    imagenet_kaggle,
    picture,
    structs,
    text,
)

release = imagenet_kaggle  # which the tests of configs/data use too
TRAIN = [f"train/{wnid}/{wnid}_{k}.JPEG" for wnid in WNIDS for k in (18, 7)]
FLAT = [f"val/ILSVRC2012_val_0000000{k}.JPEG" for k in (1, 2, 3)]
NAMES = ["tench", "goldfish", "crane"]


class TestClassFolders:
    @pytest.fixture
    def root(self, tmp_path):
        return imagenet_class_folders(tmp_path)

    def test_ids_labels_and_classes(self, root):
        data = ImageNet(str(root))
        val, train = data.dataset("val"), data.dataset("train")
        assert (train.ids, train.labels) == (TRAIN, [0, 0, 1, 1, 2, 2])
        assert val.ids == [f"val/{wnid}/ILSVRC2012_val_0000000{k}.JPEG" for wnid, k in zip(WNIDS, (3, 2, 1))]
        assert val.labels == [0, 1, 2]
        assert val.classes == train.classes == WNIDS
        assert data.dataset("predict") is val
        assert data.num_classes == 3
        assert not set(train.ids) & set(val.ids)
        assert ImageNet(str(root), split="train").dataset("predict").ids == TRAIN

    def test_a_mapping_names_classes_also_those_without_a_folder(self, root):
        text(root / "LOC_synset_mapping.txt", "n01484850 great white shark, white shark", *(f"{w} x" for w in WNIDS))
        val = ImageNet(str(root)).dataset("val")
        assert val.classes == ["x", "x", "great white shark", "x"]
        assert val.labels == [0, 1, 3]

    def test_labels_of_val_are_numbered_with_train(self, root):
        for file in (root / "val" / WNIDS[0]).iterdir():
            file.unlink()
        (root / "val" / WNIDS[0]).rmdir()
        assert ImageNet(str(root)).dataset("val").labels == [1, 2]

    def test_boxes_of_the_solutions(self, root):
        text(root / "LOC_val_solution.csv", "ImageId,PredictionString", f"ILSVRC2012_val_00000002,{WNIDS[1]} 1 2 3 4 ")
        val = ImageNet(str(root)).dataset("val")
        assert val.region(1).nonzero()[[0, -1]].tolist() == [[2, 1], [4, 3]]
        assert val.region(0) is None

    def test_without_train_it_can_be_explained(self, root):
        (root / "train").rename(root / "elsewhere")
        data = ImageNet(str(root))
        assert len(data.dataset("val")) == 3
        with pytest.raises(InputError, match=r"split: .*imagenet has no split train, only val"):
            data.dataset("train")

    def test_there_is_no_test_split(self, root):
        with pytest.raises(InputError, match="split: ImageNet has no split test here, only train, val"):
            ImageNet(str(root)).dataset("test")
        with pytest.raises(InputError, match="split is 'test', but must be one of train, val"):
            ImageNet(str(root), split="test")

    def test_pictures_outside_of_the_classes_are_refused(self, root):
        picture(root / "val" / "new" / "1.JPEG")
        with pytest.raises(InputError, match=r"1 images in .*val have no known class: val/new/1.JPEG"):
            ImageNet(str(root)).dataset("val")


class TestKaggle:
    @pytest.fixture
    def root(self, tmp_path):
        return imagenet_kaggle(tmp_path)

    def test_ids_labels_and_classes(self, root):
        data = ImageNet(str(root))
        val, train = data.dataset("val"), data.dataset("train")
        assert (val.ids, val.labels) == (FLAT, [2, 1, 0])
        assert (train.ids, train.labels) == (TRAIN, [0, 0, 1, 1, 2, 2])
        assert val.classes == train.classes == NAMES
        assert val.image(0).size == (12, 10)

    def test_boxes_are_those_of_the_annotations_and_of_the_solution(self, root):
        val, train = (ImageNet(str(root)).dataset(split) for split in ("val", "train"))
        assert [train.region(k) is None for k in range(6)] == [True, False] * 3
        assert train.region(3).nonzero()[[0, -1]].tolist() == [[1, 1], [3, 3]]
        assert val.region(0).all()
        first = [[row, column] for row in (2, 3, 4) for column in (1, 2, 3)]
        last = [[row, 6] for row in range(10)]
        with pytest.warns(
            UserWarning, match="boxes reach beyond .* such as 6, 0, 6, 99 of val/ILSVRC2012_val_00000002"
        ):
            assert val.region(1).nonzero().tolist() == sorted(first + last)
        assert val.region(2) is None

    def test_annotations_of_val_come_before_the_solution(self, root):
        annotation(root / "ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_00000001.xml", (3, 3, 3, 3))
        val = ImageNet(str(root)).dataset("val")
        assert val.region(0).nonzero().tolist() == [[3, 3]]
        assert val.region(1) is None

    def test_val_sorted_into_class_folders_keeps_its_boxes(self, root):
        data = root / "ILSVRC" / "Data" / "CLS-LOC" / "val"
        for k, wnid in enumerate(WNIDS):
            (data / wnid).mkdir()
            name = f"ILSVRC2012_val_0000000{3 - k}.JPEG"
            (data / name).rename(data / wnid / name)
        val = ImageNet(str(root)).dataset("val")
        assert val.ids[2] == f"val/{WNIDS[2]}/ILSVRC2012_val_00000001.JPEG"
        assert val.labels == [0, 1, 2]
        assert val.region(2).all()

    @pytest.mark.parametrize("given", ["..", "ILSVRC", "ILSVRC/Data", "ILSVRC/Data/CLS-LOC"])
    def test_a_folder_above_or_in_it_will_do(self, given, root):
        data = ImageNet(str(root / given))
        assert data.place.folder.samefile(root)
        assert data.dataset("val").ids == FLAT

    def test_without_a_mapping_classes_are_known_by_their_ids(self, root):
        (root / "LOC_synset_mapping.txt").unlink()
        assert ImageNet(str(root)).dataset("val").classes == WNIDS
        (root / "ILSVRC" / "Data" / "CLS-LOC" / "train").rename(root / "elsewhere")
        assert ImageNet(str(root)).dataset("val").classes == WNIDS

    def test_a_dataset_can_be_sent_to_another_process(self, root):
        val = pickle.loads(pickle.dumps(ImageNet(str(root)).dataset("val")))
        assert val.region(0).all()

    def test_without_labels_the_tree_is_drawn(self, root):
        (root / "LOC_val_solution.csv").unlink()
        with pytest.raises(
            InputError, match=r"is not ImageNet: LOC_val_solution.csv is missing. Expected:\nimagenet/\n"
        ) as caught:
            ImageNet(str(root))
        told = str(caught.value)
        assert "|-- ILSVRC/Data/CLS-LOC/val/*.JPEG\n" in told
        assert [line.split()[1] for line in told.splitlines() if "MISSING" in line] == ["LOC_val_solution.csv"]
        assert "or a folder with val/n01440764/*.JPEG\n" in told

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            (
                ["image,boxes", "x,n01440764"],
                "LOC_val_solution.csv begins with image,boxes, not ImageId,PredictionString",
            ),
            (["ImageId,PredictionString", "x"], "line 2 of .* is 'x', but must be: ImageId,PredictionString"),
            (["ImageId,PredictionString", "x, "], "line 2 of .* is 'x, ', but must be"),
            (
                ["ImageId,PredictionString", "x,n01440764", "x,n01440764"],
                "line 3 of .* is about x, like an earlier line",
            ),
            (["ImageId,PredictionString", "x,n01440764"], "1 of the 1 images that .* lists are not in .*: val/x.JPEG"),
            (
                ["ImageId,PredictionString", "ILSVRC2012_val_00000001,n00000000"],
                r"1 images in .*val have no known class: val/ILSVRC2012_val_00000001.JPEG",
            ),
        ],
    )
    def test_solutions_that_make_no_sense(self, lines, message, root):
        text(root / "LOC_val_solution.csv", *lines)
        with pytest.raises(InputError, match=message):
            ImageNet(str(root)).dataset("val")

    def test_boxes_that_make_no_sense(self, root):
        for words in ("n01440764 1 2 3", "n01440764 1 2 x 4", "n01440764 1 2 3 4 n01440764 5"):
            text(root / "LOC_val_solution.csv", "ImageId,PredictionString", f"ILSVRC2012_val_00000001,{words}")
            val = ImageNet(str(root)).dataset("val")
            with pytest.raises(InputError, match=rf"line 2 of .*: '{words}' is not: wnid x y x y"):
                val.region(0)


class TestDevkit:
    @pytest.fixture
    def root(self, tmp_path):
        return imagenet_devkit(tmp_path)

    def test_numbers_of_the_devkit_are_not_those_of_the_classes(self, root):
        val = ImageNet(str(root)).dataset("val")
        assert (val.ids, val.labels, val.classes) == (FLAT, [2, 1, 0], NAMES)
        assert val.region(0) is None

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            (["2", "x", "3"], r"line 2 of .*ground_truth.txt is 'x', but must be: class number"),
            (["2", "1001", "3"], r"line 2 of .*ground_truth.txt: .*meta.mat has no class 1001"),
            (["2", "1", "3", "3"], r"1 of the 4 images that .*ground_truth.txt lists are not in .*_00000004.JPEG"),
        ],
    )
    def test_labels_that_make_no_sense(self, lines, message, root):
        text(root / "ILSVRC2012_devkit_t12" / "data" / "ILSVRC2012_validation_ground_truth.txt", *lines)
        with pytest.raises(InputError, match=message):
            ImageNet(str(root)).dataset("val")

    def test_a_devkit_of_another_kind(self, root):
        structs(root / "ILSVRC2012_devkit_t12" / "data" / "meta.mat", "synsets", ["WNID"], [("n01440764",)])
        with pytest.raises(InputError, match=r"synsets in .*meta.mat has no field ILSVRC2012_ID, words, num_children"):
            ImageNet(str(root)).dataset("val")
