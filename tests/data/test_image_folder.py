import pytest
import torch
from jsonargparse import ArgumentParser
from lightning import LightningModule, Trainer
from PIL import Image
from timm.data import create_transform

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data import ImageFolder
from lit_coiba.data.blocks import BlockDataset

SMALL = Preprocessing((8, 8), 1.0, "bilinear")


@pytest.fixture
def pictures(tmp_path):
    """Makes image files below a fresh folder."""

    def make(*names):
        for number, name in enumerate(names):
            path = tmp_path / "root" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (10 + number, 9), (number, 0, 0)).save(path)
        return str(tmp_path / "root")

    return make


def csv(tmp_path, text):
    (tmp_path / "table.csv").write_text(text)
    return str(tmp_path / "table.csv")


class TestFolders:
    def test_class_folders_are_numbered_in_sorted_order(self, pictures):
        data = ImageFolder(pictures("dog/b.jpg", "cat/deep/a.png", "Emu/c.jpg"))
        dataset = data.dataset("predict")
        assert dataset.ids == ["Emu/c.jpg", "cat/deep/a.png", "dog/b.jpg"]
        assert dataset.labels == [0, 1, 2]
        assert dataset.classes == ["Emu", "cat", "dog"]
        assert data.num_classes == 3
        assert data.dataset("train") is dataset

    def test_a_flat_folder_has_no_labels(self, pictures):
        data = ImageFolder(pictures("b.jpg", "a.jpg"))
        assert data.dataset("predict").ids == ["a.jpg", "b.jpg"]
        assert data.dataset("predict").labels == [-1, -1]
        assert data.num_classes is None

    def test_a_stray_picture_beside_class_folders_has_no_label(self, pictures):
        assert ImageFolder(pictures("cat/a.jpg", "dog/b.jpg", "sheet.png")).dataset("predict").labels == [0, 1, -1]

    def test_each_verb_takes_its_split_with_the_classes_of_train(self, pictures):
        root = pictures("train/a/1.jpg", "train/b/2.jpg", "train/c/3.jpg", "valid/c/4.jpg", "test/b/5.jpg")
        data = ImageFolder(root)
        assert data.dataset("val").ids == ["valid/c/4.jpg"]
        assert data.dataset("val").labels == [2]
        assert data.dataset("test").labels == [1]
        assert data.dataset("train").labels == [0, 1, 2]
        assert data.dataset("predict") is data.dataset("val")
        assert ImageFolder(root, split="test").dataset("predict").ids == ["test/b/5.jpg"]
        assert data.num_classes == 3

    def test_a_class_called_train_is_no_split(self, pictures):
        data = ImageFolder(pictures("car/1.jpg", "plane/2.jpg", "train/3.jpg"))
        assert data.dataset("predict").classes == ["car", "plane", "train"]

    def test_other_folders_beside_two_splits_do_not_matter(self, pictures):
        data = ImageFolder(pictures("train/a/1.jpg", "val/a/2.jpg", "train/b/1.jpg", "figures/3.jpg"))
        with pytest.warns(UserWarning, match="what is in no split is left out: figures"):
            assert data.dataset("predict").ids == ["val/a/2.jpg"]

    def test_a_class_that_train_lacks_is_refused_even_if_it_is_a_number(self, pictures):
        data = ImageFolder(pictures("train/0/1.jpg", "train/2/1.jpg", "val/1/2.jpg"))
        with pytest.raises(InputError, match=r"class folder of val/1/2.jpg: '1' is none of the 2 classes \(0, 2\)"):
            data.dataset("val")

    def test_class_folders_are_looked_up_in_a_class_file(self, pictures, tmp_path):
        (tmp_path / "names.txt").write_text("zebra\ndog\ncat\n")
        data = ImageFolder(pictures("cat/1.jpg", "dog/2.jpg"), classes=str(tmp_path / "names.txt"))
        assert data.dataset("predict").labels == [2, 1]
        assert data.num_classes == 3

    def test_the_label_can_be_in_the_file_name(self, pictures, tmp_path):
        root = pictures("0007_x.jpg", "sub/0002_y.jpg")
        data = ImageFolder(root, label_pattern=r"^(\d+)_")
        assert data.dataset("predict").labels == [7, 2]
        assert data.num_classes == 8
        (tmp_path / "names.txt").write_text("y\nx\n")
        named = ImageFolder(root, label_pattern=r"_(\w)\.", classes=str(tmp_path / "names.txt"))
        assert named.dataset("predict").labels == [1, 0]


class TestTable:
    def test_labels_boxes_and_files_are_those_of_the_csv(self, pictures, tmp_path):
        root = pictures("b.png", "a.png", "unlisted.png")
        table = csv(tmp_path, "file,class,x_min,y_min,x_max,y_max\nb.png,3,0,0,1,0\na.png,1,,,,\nb.png,3,8,8,10,9\n")
        dataset = ImageFolder(root, table).dataset("predict")
        assert (dataset.ids, dataset.labels) == (["a.png", "b.png"], [1, 3])
        assert dataset.region(0) is None
        assert dataset.region(1).nonzero().tolist() == [[0, 0], [0, 1], [8, 8], [8, 9]]

    def test_names_are_numbered_in_sorted_order(self, pictures, tmp_path):
        data = ImageFolder(pictures("a.png", "b.png"), csv(tmp_path, "file,label\na.png,dog\nb.png,cat\n"))
        assert (data.dataset("predict").labels, data.dataset("predict").classes) == ([1, 0], ["cat", "dog"])

    def test_splits_can_be_a_column(self, pictures, tmp_path):
        table = csv(tmp_path, "file,label,split\na.png,0,train\nb.png,4,Validation\n")
        data = ImageFolder(pictures("a.png", "b.png"), table)
        assert (data.dataset("train").ids, data.dataset("predict").ids) == (["a.png"], ["b.png"])
        assert data.num_classes == 5

    def test_a_file_that_is_missing_is_a_failure_of_its_block(self, pictures, tmp_path):
        data = ImageFolder(pictures("a.png"), csv(tmp_path, "file,label\na.png,0\ngone.png,1\n"))
        batch = BlockDataset(data.dataset("predict"), SMALL, 2)[0]
        assert batch.ids == ("a.png",)
        assert batch.failures == (("gone.png", "the file does not exist"),)

    def test_without_a_label_column_the_pattern_tells_or_nothing(self, pictures, tmp_path):
        root, table = pictures("7_a.png"), csv(tmp_path, "file\n7_a.png\n")
        assert ImageFolder(root, table).dataset("predict").labels == [-1]
        assert ImageFolder(root, table, label_pattern=r"^(\d)_").dataset("predict").labels == [7]


class TestRefusals:
    def test_roots(self, tmp_path):
        (tmp_path / "file").write_text("")
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match=r"^root: .*/none does not exist$"):
            ImageFolder(str(tmp_path / "none"))
        with pytest.raises(InputError, match=r"^root: .*/file is not a folder, and no image either: the file is empty"):
            ImageFolder(str(tmp_path / "file"))
        with pytest.raises(
            InputError, match=r"^root: .*/empty has no images, in it or below it \(looked for \.apng, \.avif, "
        ):
            ImageFolder(str(tmp_path / "empty")).dataset("predict")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"split": "dev"}, "split is 'dev', but must be one of train, val, test"),
            ({"label_pattern": "("}, "is not a regular expression"),
            ({"label_pattern": "a.*"}, "has 0 groups, but must have exactly one"),
            ({"batch_size": 0}, "batch_size is 0: give a whole number, 1 or more"),
            ({"num_workers": -1}, "num_workers is -1: give a whole number, 0 or more"),
            ({"limit": 0}, "limit is 0: give a whole number, 1 or more"),
            ({"limit_order": "random"}, "limit_order is 'random'"),
        ],
    )
    def test_arguments(self, arguments, message, pictures):
        with pytest.raises(InputError, match=message):
            ImageFolder(pictures("a.jpg"), **arguments)

    @pytest.mark.parametrize(
        ("names", "arguments", "message"),
        [
            (["a.jpg"], {"split": "val"}, ".* has no split val, it has no splits"),
            (["train/a/1.jpg"], {"split": "val"}, ".* has no split val, it has only train"),
            (["x.jpg"], {"label_pattern": r"^(\d+)_"}, r"label_pattern: .* does not match the file x.jpg"),
            (["x_y.jpg"], {"label_pattern": r"^(x)_"}, "label_pattern, file x_y.jpg: 'x' is not a class number"),
        ],
    )
    def test_folders(self, names, arguments, message, pictures):
        with pytest.raises(InputError, match=message):
            ImageFolder(pictures(*names), **arguments).dataset("predict")

    def test_a_split_that_is_not_there(self, pictures):
        with pytest.raises(InputError, match=r".* has no split test, it has only train, val"):
            ImageFolder(pictures("train/a/1.jpg", "val/a/1.jpg")).dataset("test")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("file,label\nx.png,0\ny.png,0\n", r"none of the files in .* exists below .* \(the first is x.png\)"),
            ("file,label\na.png,0\na.png,1\n", "line 3 of .*: a.png has another label in an earlier line"),
            (
                "file,label,split\na.png,0,held\n",
                "line 2 of .*: the split is 'held', but must be one of",
            ),
            ("file,label\na.png,9\n", "line 2 of .*: class 9 is outside 0 to 1"),
        ],
    )
    def test_tables(self, text, message, pictures, tmp_path):
        (tmp_path / "names.txt").write_text("cat\ndog\n")
        with pytest.raises(InputError, match=message):
            ImageFolder(pictures("a.png"), csv(tmp_path, text), classes=str(tmp_path / "names.txt")).dataset("predict")


class TestAssets:
    def test_caltech_has_101_classes_and_a_limit_covers_them(self, assets):
        data = ImageFolder(str(assets / "caltech101"), limit=101)
        data.preprocessing = SMALL
        data.setup("predict")
        assert data.num_classes == 101
        assert (len(data.dataset("train")), len(data.dataset("val"))) == (101 * 22, 101 * 9)
        assert data.dataset("train").classes == data.dataset("val").classes
        assert set(data.explained.labels) == set(range(101))
        alone = ImageFolder(str(assets / "caltech101" / "val"))
        assert alone.dataset("predict").labels == data.dataset("val").labels

    def test_imagenet_samples_carry_their_class_in_the_file_name(self, assets):
        folder = assets / "imagenet-samples"
        data = ImageFolder(str(folder / "images"), label_pattern=r"^(\d+)_", classes=str(folder / "classes.csv"))
        dataset = data.dataset("predict")
        assert (len(dataset), data.num_classes) == (800, 1000)
        assert dataset.labels == [int(name[:4]) for name in dataset.ids]
        by_wnid = ImageFolder(str(folder / "images"), label_pattern=r"_(n\d+)\.", classes=str(folder / "classes.csv"))
        assert by_wnid.dataset("predict").labels == dataset.labels

    def test_boxes_of_tiny_imagenet_are_regions(self, assets):
        folder = assets / "tiny-imagenet-boxes"
        data = ImageFolder(str(folder / "images"), csv=str(folder / "boxes.csv"))
        dataset = data.dataset("predict")
        lines = (folder / "boxes.csv").read_text().splitlines()[1:]
        truth = {line.split(",")[0]: [int(n) for n in line.split(",")[2:]] for line in lines}
        assert len(dataset) == len(truth) == 2000
        for index in range(0, 2000, 37):
            label, left, top, right, bottom = truth[dataset.ids[index]]
            region = dataset.region(index)
            assert dataset.labels[index] == label
            assert region.shape == (64, 64)
            assert region.sum() == (right - left + 1) * (bottom - top + 1)
            assert region[top, left]
            assert region[bottom, right]

    def test_real_photographs_reach_the_model_as_timm_reads_them(self, assets):
        recipe = Preprocessing((224, 224), 0.875, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        dataset = ImageFolder(str(assets / "imagenet-samples" / "images"), limit=6).dataset("predict")
        batch = BlockDataset(dataset, recipe, 6)[20]
        reference = create_transform(
            (3, 224, 224), interpolation="bicubic", mean=recipe.mean, std=recipe.std, crop_pct=0.875
        )
        assert batch.ids == tuple(dataset.ids[120:126])
        for image, name in zip(batch.images, batch.ids):
            with Image.open(assets / "imagenet-samples" / "images" / name) as photograph:
                torch.testing.assert_close(image, reference(photograph.convert("RGB")), rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")  # Lightning with the newest torch
def test_fitting_goes_without_validation_where_there_is_no_split_and_validate_takes_all(pictures, tmp_path):
    class Counter(LightningModule):
        preprocessing = SMALL

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))
            self.seen = {"train": 0, "val": 0}

        def training_step(self, batch):
            self.seen["train"] += len(batch[1])
            return self.weight * batch[0].mean()

        def validation_step(self, batch):
            self.seen["val"] += len(batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_checkpointing", "enable_model_summary"), False)
    trainer = Trainer(accelerator="cpu", max_epochs=1, default_root_dir=tmp_path, **quiet)
    model, data = Counter(), ImageFolder(pictures("a/1.jpg", "b/2.jpg", "b/3.jpg"), batch_size=4)
    trainer.fit(model, data)
    assert model.seen == {"train": 3, "val": 0}
    trainer.validate(model, data, verbose=False)
    assert model.seen == {"train": 3, "val": 3}


def test_every_argument_can_come_from_a_command_line(pictures):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(ImageFolder, "data")
    given = [f"--data.root={pictures('a.jpg')}", "--data.columns.label=species", "--data.split=val", "--data.limit=3"]
    data = parser.instantiate(parser.parse_args(given)).data
    assert (data.columns, data.split, data.limit, data.limit_order) == ({"label": "species"}, "val", 3, "spread")


def test_augmentation_is_for_training_only(pictures):
    data = ImageFolder(pictures("a/1.jpg", "b/2.jpg"), augment=True)
    data.preprocessing = SMALL
    assert data.examples("train").augmentation is not None
    assert data.examples("val").augmentation is None
    assert torch.equal(data.examples("val")[1][0], data.transform(data.dataset("val").image(1)))
