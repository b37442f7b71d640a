"""Features of a frozen backbone, computed once: the same training, and nothing stale."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lit_coiba.backbones import Backbone
from lit_coiba.callbacks import ExportWeights
from lit_coiba.core.errors import InputError
from lit_coiba.data import ImageFolder, SyntheticParts
from lit_coiba.data.synthetic.dataset import SPLITS
from lit_coiba.heads import InfoDisentHead, LinearHead
from lit_coiba.resources import resource
from lit_coiba.trainer import Trainer
from lit_coiba.training.classifier import Classifier
from lit_coiba.training.feature_cache import CachedFeatures
from tests._testers import tiny

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*LeafSpec.*")


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Class folders: twelve training and six validation pictures of three classes."""
    root = tmp_path_factory.mktemp("photos")
    draw = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for label in range(3):
            folder = root / split / f"class{label}"
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = draw.integers(0, 80, (32, 32, 3), dtype=np.uint8)
                pixels[..., label] += 150
                Image.fromarray(pixels).save(folder / f"{index}.png")
    return root


def classifier(head=LinearHead, frozen=True, seed=0):
    backbone = tiny.vit()
    torch.manual_seed(seed)
    backbone.num_classes = 3
    return Classifier(backbone, head, frozen=frozen, lr=0.05)


def fit(model, data, folder=None, epochs=3, views=1, **arguments):
    quick = {"accelerator": "cpu", "devices": 1, "logger": False, "enable_checkpointing": False}
    calm = {"enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    trainer = Trainer(max_epochs=epochs, **quick, **calm, **arguments)
    torch.manual_seed(1)
    trainer.fit(model.train(), datamodule=data, cache=None if folder is None else str(folder), views=views)
    return trainer


def folder_of(photos, **arguments):
    return ImageFolder(str(photos), batch_size=4, num_workers=0, **arguments)


@pytest.mark.parametrize("head", [LinearHead, lambda c, k: InfoDisentHead(c, k, pooling="hard")])
def test_it_trains_as_without(photos, tmp_path, head):
    plain, cached = classifier(head), classifier(head)
    expected = fit(plain, folder_of(photos)).callback_metrics
    found = fit(cached, folder_of(photos), tmp_path).callback_metrics
    assert float(found["val/loss"]) == pytest.approx(float(expected["val/loss"]), rel=0.01)
    assert found["val/accuracy"] == expected["val/accuracy"]
    for (name, ours), theirs in zip(cached.state_dict().items(), plain.state_dict().values()):
        if "generator" not in name:  # of a rotation: Adam turns the rounding of small gradients into whole steps
            torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.02, msg=name)


def test_the_backbone_runs_once_for_each_image(photos, tmp_path, monkeypatch):
    seen = []

    def watched(model):
        real = model.backbone.features
        monkeypatch.setattr(model.backbone, "features", lambda images: seen.append(len(images)) or real(images))
        return model

    fit(watched(classifier()), folder_of(photos), tmp_path, epochs=4)
    assert sum(seen) == 18
    fit(watched(classifier(seed=5)), folder_of(photos), tmp_path)  # another head: the same features
    assert sum(seen) == 18


def test_files_hold_the_features_in_half_precision(photos, tmp_path):
    model, data = classifier(), folder_of(photos)
    fit(model, data, tmp_path, epochs=1)
    files = sorted(file for file in tmp_path.glob("*.npy") if "targets" not in file.name)
    arrays = [np.load(file) for file in files]
    assert sorted(len(array[0]) for array in arrays) == [6, 12]
    assert all(array.dtype == np.float16 and array.shape[0] == 1 for array in arrays)
    examples = data.examples("val")
    images, targets = examples.__getitems__(list(range(6)))
    file, values = next((f, a) for f, a in zip(files, arrays) if len(a[0]) == 6)
    with torch.no_grad():
        expected = model.eval().backbone.features(images)
    torch.testing.assert_close(torch.from_numpy(values[0]).float(), expected, rtol=2e-3, atol=2e-3)
    assert np.load(file.with_suffix(".targets.npy"))[0].tolist() == targets.tolist()


def test_another_backbone_other_preprocessing_or_other_labels_are_other_files(photos, tmp_path):
    fit(classifier(), folder_of(photos), tmp_path, epochs=1)
    assert len(list(tmp_path.glob("*.npy"))) == 4
    other = classifier()
    with torch.no_grad():
        next(other.backbone.model.blocks.parameters()).add_(0.1)
    fit(other, folder_of(photos), tmp_path, epochs=1)
    assert len(list(tmp_path.glob("*.npy"))) == 8
    names = tmp_path / "names.txt"
    names.write_text("class2\nclass1\nclass0\n")
    fit(classifier(), folder_of(photos, classes=str(names)), tmp_path, epochs=1)
    assert len([file for file in tmp_path.iterdir() if file.suffix == ".npy"]) == 12


def test_random_samples_need_views(photos, tmp_path):
    with pytest.raises(InputError, match="augment the training samples at random: set views"):
        fit(classifier(), folder_of(photos, augment=True), tmp_path)
    fit(classifier(), folder_of(photos, augment=True), tmp_path, views=3)
    (train,) = (a for a in map(np.load, tmp_path.glob("*.npy")) if a.shape[:2] == (3, 12) and a.ndim == 5)
    assert not np.array_equal(train[0], train[1])


def test_views_are_drawn_anew(photos, tmp_path):
    data = CachedFeatures(folder_of(photos, augment=True), str(tmp_path), views=4)
    model = classifier()
    trainer = fit(model, folder_of(photos, augment=True), tmp_path, views=4, epochs=1)
    data.trainer = trainer
    data.setup("fit")
    samples = data.train_dataloader().dataset
    batches = [samples.__getitems__([0] * 8).values for _ in range(4)]
    assert len({tuple(values.flatten().tolist()) for batch in batches for values in batch}) == 4


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [({"frozen": False}, "set model.frozen and model.head"), ({"head": None}, "set model.frozen and model.head")],
)
def test_a_backbone_that_changes_is_refused(photos, tmp_path, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        fit(classifier(**arguments), folder_of(photos), tmp_path)
    assert not list(tmp_path.iterdir())


def test_exported_weights_are_measured_on_images(photos, tmp_path):
    root = tmp_path / "photos"
    shutil.copytree(photos, root)
    shutil.copytree(photos / "val", root / "test")
    export = ExportWeights(str(tmp_path / "small.safetensors"), command="test")
    found = fit(classifier(), folder_of(root), tmp_path / "cache", epochs=20, callbacks=[export]).callback_metrics
    card = (tmp_path / "small.md").read_text()
    assert f"| accuracy, test | {float(found['val/accuracy']):.1%} (" in card


def test_wrong_arguments(photos, tmp_path):
    with pytest.raises(InputError, match="views is 0"):
        fit(classifier(), folder_of(photos), tmp_path, views=0)
    with pytest.raises(InputError, match="cache needs a data module of lit-coiba"):
        Trainer(accelerator="cpu", logger=False).fit(classifier(), cache=str(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cache .*/file/below cannot be written"):
        fit(classifier(), folder_of(photos), tmp_path / "file" / "below")


def test_loaders_by_name_keep_theirs(tmp_path, monkeypatch):
    monkeypatch.setitem(SPLITS, "train", range(64))
    monkeypatch.setitem(SPLITS, "val", range(10_000, 10_032))
    model = Classifier(Backbone.load(resource("checkpoints/synthetic_parts_cnn.safetensors")), LinearHead, frozen=True)
    found = fit(model, SyntheticParts(multi_target=True, batch_size=16), tmp_path, views=2, epochs=1).callback_metrics
    assert {"val/whole/loss", "val/parts_dropped/loss"} <= found.keys()
    assert len(list(tmp_path.glob("*.npy"))) == 6
