import pytest

from lit_coiba.core.errors import InputError
from lit_coiba.data import StanfordCars
from tests._testers.releases import CAR_FIELDS, cars_class_folders, cars_combined, cars_devkit, structs, text

release = cars_devkit  # which the tests of configs/data use too
HUMMER, RAM = "AM General Hummer SUV 2000", "Ram C/V Cargo Van Minivan 2012"


class TestDevkit:
    @pytest.fixture
    def root(self, tmp_path):
        return cars_devkit(tmp_path)

    def test_ids_labels_and_classes(self, root):
        data = StanfordCars(str(root), validation=0)
        test, train = data.dataset("test"), data.dataset("train")
        assert (test.ids, test.labels) == ([f"cars_test/0000{k}.jpg" for k in (1, 2, 3)], [0, 1, 0])
        assert (train.ids, train.labels) == ([f"cars_train/0000{k}.jpg" for k in range(1, 7)], [0, 1] * 3)
        assert test.classes == train.classes == [HUMMER, RAM]
        assert test.image(0).size == (12, 10)

    def test_boxes_count_pixels_from_one(self, root):
        region = StanfordCars(str(root)).dataset("test").region(0)  # 1 2 5 6
        assert region.nonzero()[[0, -1]].tolist() == [[1, 0], [5, 4]]
        assert region.sum() == 25

    def test_test_labels_in_the_devkit_and_folders_in_folders(self, root):
        name = "cars_test_annos_withlabels.mat"
        (root / name).rename(root / "devkit" / name)
        (root / "cars_test").rename(root / "inner")
        (root / "cars_test").mkdir()
        (root / "inner").rename(root / "cars_test" / "cars_test")
        assert StanfordCars(str(root.parent)).dataset("test").ids[0] == "cars_test/cars_test/00001.jpg"

    def test_without_test_labels_it_is_said_which_file_has_them(self, root):
        (root / "cars_test_annos_withlabels.mat").rename(root / "devkit" / "cars_test_annos.mat")
        with pytest.raises(InputError) as caught:
            StanfordCars(str(root))
        (missing,) = [line for line in str(caught.value).splitlines() if "MISSING" in line]
        assert missing == "|-- cars_test_annos_withlabels.mat  MISSING: a download of its own; also in devkit"
        assert str(caught.value).endswith(
            "or a folder with car_ims/*.jpg, cars_annos.mat\n"
            "or a folder with train/Acura RL Sedan 2012/*.jpg, test/Acura RL Sedan 2012/*.jpg"
        )

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ((1, 2, 5, 6, 3, "00001.jpg"), r"annotation 1 of .*train_annos.mat: class 3 is not one of 1 to 2"),
            ((1, 2, 5, 6, 0, "00001.jpg"), "class 0 is not one of 1 to 2"),
            ((1, 2, 5, 6, 1.5, "00001.jpg"), r"the class in annotation 1 of .* is 1.5, but must be a whole number"),
            ((1, 2, 0, 6, 1, "00001.jpg"), r"annotation 1 of .*: the box 1, 2, 0, 6 ends before it begins"),
            (("x", 2, 5, 6, 1, "00001.jpg"), "the box x, 2, 5, 6 is not four numbers"),
            ((1, 2, 5, 6, 1, "00009.jpg"), r"1 of the 1 images that .* lists are not in .*: cars_train/00009.jpg"),
        ],
    )
    def test_annotations_that_make_no_sense(self, row, message, root):
        structs(root / "devkit" / "cars_train_annos.mat", "annotations", CAR_FIELDS, [row])
        data = StanfordCars(str(root))
        assert len(data.dataset("test")) == 3
        with pytest.raises(InputError, match=message):
            data.dataset("train")

    def test_a_torn_file_is_named(self, root):
        (root / "devkit" / "cars_meta.mat").write_bytes(b"MATLAB 5.0 MAT-file")
        with pytest.raises(InputError, match=r"cannot read .*cars_meta.mat as a MATLAB file"):
            StanfordCars(str(root)).dataset("test")


class TestCombined:
    def test_one_file_tells_all(self, tmp_path):
        data = StanfordCars(str(cars_combined(tmp_path)), validation=0)
        test, train = data.dataset("test"), data.dataset("train")
        assert (test.ids, test.labels) == ([f"car_ims/00000{k}.jpg" for k in (7, 8, 9)], [0, 1, 0])
        assert (train.ids, train.labels) == ([f"car_ims/00000{k}.jpg" for k in range(1, 7)], [0, 1] * 3)
        assert test.classes == [HUMMER, RAM]
        assert test.region(1).nonzero()[[0, -1]].tolist() == [[1, 7], [5, 11]]


class TestClassFolders:
    @pytest.fixture
    def root(self, tmp_path):
        return cars_class_folders(tmp_path)

    def test_names_csv_gives_the_order_and_a_slash_is_a_hyphen_in_a_folder(self, root):
        data = StanfordCars(str(root), validation=0)
        test = data.dataset("test")
        assert test.classes == [RAM, HUMMER]
        assert test.ids == [
            f"test/{HUMMER}/00001.jpg",
            f"test/{HUMMER}/00003.jpg",
            "test/Ram C-V Cargo Van Minivan 2012/00002.jpg",
        ]
        assert test.labels == [1, 1, 0]
        assert len(data.dataset("train")) == 6
        assert test.region(2).nonzero()[[0, -1]].tolist() == [[1, 1], [5, 5]]

    def test_without_it_folders_do(self, root, tmp_path):
        (tmp_path / "names.csv").unlink()
        (tmp_path / "anno_test.csv").unlink()
        test = StanfordCars(str(root)).dataset("test")
        assert test.classes == [HUMMER, "Ram C-V Cargo Van Minivan 2012"]
        assert test.labels == [0, 0, 1]
        assert test.region(0) is None

    def test_the_folder_above_will_do(self, root, tmp_path):
        assert StanfordCars(str(tmp_path)).place.folder == root

    def test_other_class_folders_are_not_cars(self, tmp_path):
        for name in ("train/Wren/1.jpg", "test/Wren/2.jpg"):
            (tmp_path / name).parent.mkdir(parents=True)
            (tmp_path / name).touch()
        with pytest.raises(InputError, match="is not Stanford Cars: none of its files are there"):
            StanfordCars(str(tmp_path))

    def test_a_table_may_have_a_header(self, root, tmp_path):
        text(tmp_path / "anno_test.csv", "image_name,x_min,y_min,x_max,y_max,label", "00001.jpg,3,3,3,3,1")
        test = StanfordCars(str(root)).dataset("test")
        assert test.region(0).nonzero().tolist() == [[2, 2]]
        assert test.region(1) is None

    @pytest.mark.parametrize(
        ("file", "lines", "message"),
        [
            ("names.csv", [HUMMER], r"test has Ram C-V Cargo Van Minivan 2012, which is not a class in .*names.csv"),
            ("anno_test.csv", ["1.jpg,1,2,3,4"], "line 1 of .* has 5 fields, but must be: file,x1,y1,x2,y2,class"),
            (
                "anno_test.csv",
                ["a.jpg,1,2,3,4,1", "b.jpg,1,x,3,4,1"],
                "line 2 of .*: the box 1, x, 3, 4 is not four numbers",
            ),
            ("anno_test.csv", ["a.jpg,1,2,3,4,1"] * 2, r"line 2 of .* is about a.jpg, like an earlier line"),
        ],
    )
    def test_tables_that_make_no_sense(self, file, lines, message, root, tmp_path):
        text(tmp_path / file, *lines)
        with pytest.raises(InputError, match=message):
            StanfordCars(str(root)).dataset("test")


@pytest.mark.parametrize("make", [cars_devkit, cars_combined, cars_class_folders])
def test_splits_are_apart_and_the_held_out_one_has_every_class(make, tmp_path):
    data = StanfordCars(str(make(tmp_path)))
    train, val, test = (data.dataset(split) for split in ("train", "val", "test"))
    names = [*train.ids, *val.ids, *test.ids]
    assert len(set(names)) == len(names) == 9
    assert sorted(val.labels) == [0, 1]
    assert data.dataset("val").ids == StanfordCars(str(data.place.folder)).dataset("val").ids


def test_layouts_of_the_same_files_hold_out_the_same(tmp_path):
    held = [
        {name.rpartition("/")[2] for name in StanfordCars(str(make(tmp_path / make.__name__))).dataset("val").ids}
        for make in (cars_devkit, cars_class_folders)
    ]
    assert held[0] == held[1]
