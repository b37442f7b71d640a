"""What folders, tables and their labels mean; nothing shifts without a word."""

import inspect
import os
import sys
import warnings

import pytest
import torch
from PIL import Image
from torch import nn

from lit_coiba.attribution import Saliency
from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.data import ImageFolder
from lit_coiba.data.files.listing import find_images
from lit_coiba.modules.explainer import Explainer
from lit_coiba.trainer import Trainer

OTHER_PROGRAMS = (
    *("@eaDir", "lost+found", "$RECYCLE.BIN", "__MACOSX", ".ipynb_checkpoints", ".Trash-1000", "#recycle", "@EADIR"),
    *("System Volume Information", "Network Trash Folder"),
)


@pytest.fixture
def tree(tmp_path):
    """Makes files below a fresh root: images by their endings, else text; a folder where the name ends with a slash."""

    def make(*names):
        for name in names:
            path = tmp_path / "root" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                path.mkdir()
            elif path.suffix in (".txt", ".heic", ".mp4", ".csv", ".MOV"):
                path.write_text("x")
            else:
                kind = None if path.suffix in (".png", ".avif", ".jp2") else "JPEG"
                Image.new("RGB", (40, 30)).save(path, format=kind)
        return tmp_path / "root"

    return make


def refusal(do):
    """The sentence with which something is refused; empty if it is not."""
    try:
        do()
    except InputError as error:
        return str(error)
    return ""


def read(root, **arguments):
    """Labels by id, classes, and what was said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        dataset = ImageFolder(str(root), **arguments).dataset("predict")
    return dict(zip(dataset.ids, dataset.labels)), dataset.classes, [str(one.message) for one in said]


class TestNumbers:
    """models_and_data.md B: numbers as folder names were counted in the order of their text."""

    def test_0_to_k_are_indices_in_any_spelling(self, tree):
        labels, classes, said = read(tree(*(f"{k}/x.png" for k in range(12))))
        assert labels == {f"{k}/x.png": k for k in range(12)}
        assert classes == [str(k) for k in range(12)]
        assert said == []

    def test_padded_numbers(self, tree):
        labels, classes, _ = read(tree(*(f"{k:03}/x.png" for k in range(11))))
        assert [labels[f"{k:03}/x.png"] for k in range(11)] == list(range(11))
        assert classes[10] == "010"

    def test_numbers_of_the_models_classes_are_indices(self, tree):
        data = ImageFolder(str(tree("3/x.png", "17/x.png", "207/x.png")))
        data.model_classes = 1000
        assert (data.dataset("predict").labels, data.dataset("predict").classes) == ([17, 207, 3], [])
        data.model_classes = 3
        with pytest.warns(UserWarning, match="17 is class 0, 207 is class 1, 3 is class 2"):
            assert data.dataset("predict").labels == [0, 1, 2]

    def test_other_numbers_are_told_with_what_they_became(self, tree):
        root = tree(*(f"{k}/x.png" for k in range(1, 11)))
        labels, _, said = read(root)
        assert (labels["1/x.png"], labels["10/x.png"], labels["2/x.png"]) == (0, 1, 2)
        assert len(said) == 1
        assert "1 is class 0, 10 is class 1, 2 is class 2, 3 is class 3, ...): give their order" in said[0]

    def test_from_1_in_plain_order_is_told(self, tree):
        _, _, said = read(tree("1/x.png", "2/x.png"))
        assert said == ["root: the class folders count from 1, and classes from 0 (1 is class 0, 2 is class 1)"]

    def test_years_are_names(self, tree):
        labels, classes, said = read(tree("2019/x.png", "2020/x.png"))
        assert (list(labels.values()), classes, said) == ([0, 1], ["2019", "2020"], [])

    def test_a_class_file_with_numbers_decides(self, tree, tmp_path):
        (tmp_path / "order.txt").write_text("".join(f"{k}\n" for k in (2, 10, 1)))
        labels, _, said = read(tree("1/x.png", "2/x.png", "10/x.png"), classes=str(tmp_path / "order.txt"))
        assert (labels, said) == ({"1/x.png": 2, "10/x.png": 1, "2/x.png": 0}, [])

    @pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning", "ignore:.*does not have many workers.*")
    @pytest.mark.parametrize(("classes", "expected"), [(12, [0, 1, 10, 11, 2]), (20, [0, 1, 10, 11, 2])])
    def test_they_meet_the_model_in_a_run(self, classes, expected, tree, tmp_path):
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))
        model = Backbone.wrap(net.eval(), image_size=16)
        data = ImageFolder(str(tree(*(f"{k}/x.png" for k in range(12)))), num_workers=0, batch_size=4)
        trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
        store = trainer.explain(Explainer(model, Saliency(), targets="label"), data, str(tmp_path / "s"))
        assert [row.target for row in store][:5] == expected


class TestTables:
    def table(self, tmp_path, *labels):
        root = tmp_path / "im"
        root.mkdir(exist_ok=True)
        for k in range(len(labels)):
            Image.new("RGB", (9, 9)).save(root / f"{k:04}.png")
        rows = "".join(f"{k:04}.png,{label}\n" for k, label in enumerate(labels))
        (tmp_path / "t.csv").write_text(f"file,label\n{rows}")
        return ImageFolder(str(root), csv=str(tmp_path / "t.csv"))

    @pytest.mark.parametrize("number", ["4294967297", "9223372036854775808", "1" * 30, "1000000"])
    def test_numbers_that_no_class_has_are_refused(self, number, tmp_path):
        """reliability.md 3 and 7: 4294967297 became label 1, 9223372036854775808 a traceback."""
        with pytest.raises(InputError, match=f"line 3 of .*: class {number} is larger than any class number"):
            self.table(tmp_path, "0", number).dataset("predict")

    @pytest.mark.parametrize(
        "labels",
        [("0", "-2"), ("0", "1.5"), ("3", "nan"), ("0", "1", "x2"), ("0", "1_0"), ("0", "٣"), ("-2",)],
    )
    def test_a_typing_error_in_a_column_of_numbers_is_named_by_its_line(self, labels, tmp_path):
        """reliability.md 3: all labels became names, in the order of their text."""
        with pytest.raises(InputError, match=rf"line {len(labels) + 1} of .*: the label .* is no class number"):
            self.table(tmp_path, *labels).dataset("predict")

    def test_a_thousand_numbers_and_one_error(self, tmp_path):
        labels = [str(k % 9) for k in range(60)]
        labels[40] = "l"
        with pytest.raises(InputError, match=r"line 42 of .*: the label 'l' is no class number"):
            self.table(tmp_path, *labels).dataset("predict")

    def test_names_of_which_a_few_are_numbers_stay_names(self, tmp_path):
        dataset = self.table(tmp_path, "Golf", "911", "Polo", "").dataset("predict")
        assert (dataset.classes, dataset.labels) == (["911", "Golf", "Polo"], [1, 0, 2, -1])

    def test_labels_from_1_are_refused_where_the_model_shows_it(self, tmp_path):
        """models_and_data.md B: the last class failed, the others were off by one."""
        data = self.table(tmp_path, "1", "2", "3")
        assert data.dataset("predict").labels == [1, 2, 3]
        data.model_classes = 3
        with pytest.raises(InputError, match="the labels count from 1: none is 0, and the largest is 3"):
            data.dataset("predict")
        data.model_classes = 4
        assert data.dataset("predict").labels == [1, 2, 3]

    def test_labels_beyond_the_models_classes_end_no_training_with_a_traceback(self, tmp_path):
        """reliability.md 3: with three classes an IndexError."""
        data = self.table(tmp_path, "0", "7")
        data.preprocessing, data.model_classes = Backbone("resnet10t").preprocessing, 3
        with pytest.raises(InputError, match=r"sample 0001.png has label 7, but the model has 3 classes, 0 to 2"):
            data.examples("test")

    def test_a_column_that_is_there_twice_is_refused(self, tmp_path):
        self.table(tmp_path, "0")
        (tmp_path / "t.csv").write_text("file,label,label\n0000.png,0,1\n")
        with pytest.raises(InputError, match="has the column label twice"):
            ImageFolder(str(tmp_path / "im"), csv=str(tmp_path / "t.csv")).dataset("predict")

    @pytest.mark.parametrize(
        "content",
        [
            b"file,label\n" + b"0" * 300_000 + b",0\n",
            "file,label\n0000.png,Käse\n".encode("latin-1"),
            "file,label\n0000.png,0\n".encode("utf-16"),
            b"file,label\n\x00\x00,0\n",
            b"\x00" * 100,
            b"file,label\n" + b"\x1b]0;x\x07,0\n",
        ],
    )
    def test_tables_of_other_kinds_are_refused_in_one_printable_sentence(self, content, tmp_path):
        root = self.table(tmp_path, "0").root
        (tmp_path / "t.csv").write_bytes(content)
        (tmp_path / "names.csv").write_bytes(content)
        arguments = ({"csv": str(tmp_path / "t.csv")}, {"classes": str(tmp_path / "names.csv")})
        for given in arguments:
            message = refusal(lambda given=given: ImageFolder(str(root), **given).dataset("predict"))
            assert message.isprintable()
            assert len(message.replace(str(tmp_path), "")) < 500

    def test_a_pipe_in_the_place_of_a_table_is_refused(self, tmp_path):
        root = self.table(tmp_path, "0").root
        os.mkfifo(tmp_path / "pipe")
        for given in ({"csv": str(tmp_path / "pipe")}, {"classes": str(tmp_path / "pipe")}):
            with pytest.raises(InputError, match="a named pipe, not a regular file"):
                ImageFolder(str(root), **given).dataset("predict")


class TestSplits:
    def test_dev_and_years_are_known(self, tree):
        """models_and_data.md B, t4: the classes were dev and train."""
        labels, classes, said = read(tree("train/cat/a.png", "train/dog/a.png", "dev/cat/b.png", "dev/dog/b.png"))
        assert (labels, classes, said) == ({"dev/cat/b.png": 0, "dev/dog/b.png": 1}, ["cat", "dog"], [])

    @pytest.mark.parametrize("name", ["val2017", "eval", "Validation", "val_2012", "development"])
    def test_other_names(self, name, tree):
        assert read(tree("train2017/cat/a.png", "train2017/dog/a.png", f"{name}/dog/b.png"))[0] == {
            f"{name}/dog/b.png": 1
        }

    def test_a_split_beside_an_unknown_one_is_refused(self, tree):
        with pytest.raises(
            InputError, match=r"has train beside heldout, with the same folders .*: give .*/train as root"
        ):
            read(tree("train/cat/a.png", "train/dog/a.png", "heldout/cat/b.png"))

    def test_two_folders_of_one_split_are_refused(self, tree):
        with pytest.raises(InputError, match="has val and valid, and each is a name of the split val"):
            read(tree("train/cat/a.png", "val/cat/a.png", "valid/cat/a.png"))

    def test_what_is_in_no_split_is_told(self, tree):
        names = [f"{split}/{name}/a.png" for split in ("train", "test") for name in ("cat", "dog")]
        assert read(tree(*names, "extra/cat/b.png"))[2] == [
            f"root: {tree()} has splits, and what is in no split is left out: extra"
        ]

    def test_a_class_called_train_stays_one_where_its_folders_are_its_own(self, tree):
        _, classes, said = read(tree("train/steam/a.png", "car/b.png", "plane/c.png"))
        assert classes == ["car", "plane", "train"]
        assert "train is taken for a class, beside car, plane" in said[0]

    def test_class_names_that_are_given_make_train_a_class(self, tree, tmp_path):
        (tmp_path / "names.txt").write_text("test\ntrain\n")
        labels, _, said = read(tree("train/a.png", "test/b.png"), classes=str(tmp_path / "names.txt"))
        assert (labels, said) == ({"test/b.png": 0, "train/a.png": 1}, [])

    def test_classes_one_level_below_are_named(self, tree):
        _, classes, said = read(tree("photos/cat/a.png", "photos/dog/b.png"))
        assert classes == ["photos"]
        assert "has one class folder, photos, so there is one class; it holds the folders cat, dog: give" in said[0]

    def test_folders_with_the_same_folders_in_them_are_told(self, tree):
        names = [f"fold{k}/{name}/a.png" for k in (1, 2) for name in ("cat", "dog")]
        assert "fold1, fold2 are taken for classes, and each holds cat, dog" in read(tree(*names))[2][0]

    def test_a_single_class_is_refused_by_fit(self, tree):
        data = ImageFolder(str(tree("photos/a.png", "photos/b.png")))
        data.preprocessing = Backbone("resnet10t").preprocessing
        with pytest.warns(UserWarning, match="one class folder"), pytest.raises(InputError, match="has one class, and"):
            data.examples("train")


class TestFoldersAndFiles:
    def test_what_pillow_reads_is_read_and_the_rest_is_counted(self, tree):
        """models_and_data.md B, t5: no bird, two files."""
        names = ["bird/a.avif", "cat/a.png", "cat/b.jfif", "dog/a.png", "dog/b.jp2", "dog/e.jpe", "dog/c", "cat/x.heic"]
        labels, classes, said = read(tree(*names, "cat/y.heic", "cat/readme.txt", "labels.csv"))
        assert classes == ["bird", "cat", "dog"]
        assert list(labels.values()) == [0, 1, 1, 2, 2, 2]
        assert said == [f"root: of {tree()}, 3 files are left out: 2 .heic, 1 without suffix"]

    def test_a_class_without_a_readable_file_keeps_its_number_and_is_told(self, tree):
        """fidelity.md: folders a, b (only text), c, d had the classes a, c, d."""
        labels, classes, said = read(tree("a/1.png", "b/1.txt", "c/1.png", "d/1.png"))
        assert classes == ["a", "b", "c", "d"]
        assert labels == {"a/1.png": 0, "c/1.png": 2, "d/1.png": 3}
        assert any("no image in b of" in sentence for sentence in said)

    def test_an_empty_class_of_val_is_known_from_train(self, tree):
        labels, classes, said = read(tree("train/a/1.png", "train/b/1.png", "train/c/1.png", "val/a/", "val/c/1.png"))
        assert (labels, classes, said) == ({"val/c/1.png": 2}, ["a", "b", "c"], [])

    def test_an_empty_folder_is_no_class_and_told(self, tree):
        _, classes, said = read(tree("a/1.png", "b/", "c/1.png"))
        assert classes == ["a", "c"]
        assert "b of" in said[0]

    @pytest.mark.parametrize("name", OTHER_PROGRAMS)
    def test_folders_of_other_programs_are_not_looked_at(self, name, tree):
        labels, classes, said = read(tree("cat/a.png", "dog/b.png", f"{name}/cat/a.png", f"cat/{name}/t.png"))
        assert (labels, classes, said) == ({"cat/a.png": 0, "dog/b.png": 1}, ["cat", "dog"], [])

    def test_names_with_blanks_around_them_are_compared_as_they_are_first(self, tree):
        """models_and_data.md B: ' dog' was none of the classes."""
        labels, classes, _ = read(tree(" dog/a.png", "cat/a.png", "dog /a.png", "dog/a.png"))
        assert classes == [" dog", "cat", "dog", "dog "]
        assert sorted(labels.values()) == [0, 1, 2, 3]

    def test_accents_may_be_written_otherwise_in_the_class_file(self, tree, tmp_path):
        (tmp_path / "names.txt").write_text("Caf\u00e9\nbar\n", encoding="utf-8")
        assert read(tree("Cafe\u0301/a.png", "bar/b.png"), classes=str(tmp_path / "names.txt"))[0]["bar/b.png"] == 1

    @pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
    def test_no_two_files_have_one_id(self, tmp_path):
        r"""reliability.md 2: b"\xff.png" and b"\\xff.png" were one."""
        for name in (b"\xff.png", b"\\xff.png", b"\\\\xff.png", b"\\xff\xff.png"):
            with open(os.fsencode(tmp_path) + b"/" + name, "wb") as file:
                Image.new("RGB", (2, 2)).save(file, "PNG")
        dataset = ImageFolder(str(tmp_path)).dataset("predict")
        assert len(set(dataset.ids)) == 4
        assert all(dataset.image(k).size == (2, 2) for k in range(4))

    def test_folders_deeper_than_pythons_recursion_are_walked(self, tmp_path):
        folder = tmp_path.joinpath(*"d" * 150)
        folder.mkdir(parents=True)
        (folder / "a.png").touch()
        before = sys.getrecursionlimit()
        sys.setrecursionlimit(len(inspect.stack()) + 50)
        try:
            found = find_images(tmp_path)
        finally:
            sys.setrecursionlimit(before)
        assert len(found) == 1


class TestArguments:
    @pytest.mark.parametrize("name", ["root", "csv", "classes"])
    @pytest.mark.parametrize("value", ["", "  ", "~nosuchuser/x", "a\0b"])
    def test_empty_paths_and_homes_of_nobody(self, name, value, tmp_path):
        """reliability.md 3: --data.root "" took the working folder."""
        given = {"root": str(tmp_path), name: value}
        with pytest.raises(InputError, match=f"^{name} is "):
            ImageFolder(**given)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"num_workers": 1_000_000}, "num_workers is 1000000, and this machine has .* cores: give at most"),
            ({"batch_size": None}, "batch_size is None: give a whole number, 1 or more"),
            ({"batch_size": 2.5}, "batch_size is 2.5: give a whole number"),
            ({"limit": True}, "limit is True: give a whole number"),
        ],
    )
    def test_counts(self, values, message, tmp_path):
        with pytest.raises(InputError, match=message):
            ImageFolder(str(tmp_path), **values)

    def test_a_root_with_a_name_too_long(self):
        with pytest.raises(InputError, match="does not exist"):
            ImageFolder("x" * 300)


def test_the_report_of_a_dataset_is_given_once(tree):
    data = ImageFolder(str(tree("a/1.png", "b/2.png", "b/c.heic")))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for split in ("predict", "train", "val", "predict"):
            data.dataset(split)
    assert len(said) == 1
    assert torch.tensor(data.dataset("train").labels).tolist() == [0, 1]
