"""`Trainer.representativity`: k models of a few pictures, stopped and continued, and what is compared."""

from __future__ import annotations

import json
import os

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from scipy.stats import ks_2samp, spearmanr

from lit_coiba.attribution import Saliency
from lit_coiba.core.errors import InputError
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.folds import Folds
from lit_coiba.data.module import BlockDataModule
from lit_coiba.store import ExplanationStore
from lit_coiba.trainer import Trainer
from lit_coiba.training.classifier import Classifier
from tests._testers import tiny

SAMPLES, FOLDS = 18, 3


class Shades(ImageDataset):
    """Pictures of noise that are light or dark in the middle."""

    def __init__(self, count=SAMPLES):
        self.ids = [f"{index:02d}" for index in range(count)]
        self.labels = [index % 2 for index in range(count)]
        self.classes = []

    def image(self, index):
        pixels = np.random.default_rng(index).integers(60, 196, (32, 32, 3), dtype=np.uint8)
        pixels[8:24, 8:24] = 230 if index % 2 == (index % 5 != 0) else 20  # some look like the other kind
        return Image.fromarray(pixels)


class ShadeData(BlockDataModule):
    def __init__(self, batch_size=4):
        super().__init__(batch_size, num_workers=0)
        self.pictures = Shades()

    def dataset(self, split):
        return self.pictures


class Interrupted(RuntimeError):
    pass


def classifier():
    torch.manual_seed(0)
    return Classifier(tiny.vit(depth=1), lr=0.01).train()


def compared(folder, **arguments):
    trainer = Trainer(accelerator="cpu", max_epochs=2, enable_progress_bar=False)
    given = {"methods": ["Saliency"], "folds": FOLDS, **arguments}
    return trainer.representativity(classifier(), ShadeData(), str(folder), **given)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight") / "run"
    return folder, compared(folder, pairs=True)


@pytest.fixture
def trained(monkeypatch):
    """(fold, epoch, batch) of every training step; `stop_at` one of them."""
    seen = []
    step = Classifier.training_step

    def watched(self, batch, batch_idx):
        place = (self.trainer.datamodule.left_out, self.current_epoch, batch_idx)
        if place == watched.stop_at:
            raise Interrupted
        seen.append(place)
        return step(self, batch, batch_idx)

    watched.stop_at = None
    monkeypatch.setattr(Classifier, "training_step", watched)
    return seen, watched


def test_the_scores_are_those_of_the_stores(straight):
    folder, result = straight
    stores = [ExplanationStore(folder / f"fold_{number}" / "Saliency") for number in range(FOLDS)]
    fold = Folds(ShadeData(), FOLDS, 0).fold.tolist()
    equal, unequal = [], []
    rows = [{row.id: row for row in store} for store in stores]
    for i in range(FOLDS):
        for j in range(i):
            for number, name in enumerate(Shades().ids):
                one, other = rows[i][name], rows[j][name]
                assert one.target == other.target == number % 2  # of the true class, by all models
                right = [int(row.extras["predicted"]) == row.target for row in (one, other)]
                if fold[number] in (i, j) and any(right):
                    rho = spearmanr(one.map.flatten(), other.map.flatten()).statistic
                    (equal if all(right) else unequal).append((1 - abs(rho)) ** 0.5)
    found = result.methods["Saliency"]
    assert (found.both_right, found.one_right, found.undefined) == (len(equal), len(unequal), 0)
    assert found.mege == pytest.approx(1 / (1 + np.mean(equal)), abs=1e-6)
    if unequal:
        assert found.reco == pytest.approx(ks_2samp(equal, unequal, alternative="greater").statistic, abs=1e-9)
    assert (result.samples, result.missing, len(result.seen), len(result.unseen)) == (SAMPLES, 0, FOLDS, FOLDS)


def test_what_is_written(straight):
    folder, result = straight
    assert sorted(os.listdir(folder)) == [
        *("fold_0", "fold_1", "fold_2", "lit-coiba.json", "pairs.parquet"),
        *("representativity.json", "representativity.md", "run.json"),
    ]
    assert sorted(os.listdir(folder / "fold_1")) == ["Saliency", "model.ckpt"]
    told = json.loads((folder / "representativity.json").read_text())
    assert told["methods"]["Saliency"]["mege"] == pytest.approx(result.methods["Saliency"].mege)
    text = (folder / "representativity.md").read_text()
    assert text.startswith("# MeGe and ReCo")
    assert "| Saliency | " in text
    pairs = pq.read_table(folder / "pairs.parquet")
    assert len(pairs) == result.methods["Saliency"].both_right + result.methods["Saliency"].one_right
    assert pairs.column_names == ["method", "id", "first", "second", "distance", "both_right"]


def test_no_model_sees_its_fold_and_each_is_trained_on_all_else(trained, tmp_path):
    for number in range(FOLDS):
        data = Folds(ShadeData(), FOLDS, number)
        train, left = data.dataset("train"), data.dataset("val")
        assert sorted([*train.ids, *left.ids]) == Shades().ids == data.dataset("predict").ids
        assert len(left) == SAMPLES // FOLDS
    everything = [i for n in range(FOLDS) for i in Folds(ShadeData(), FOLDS, n).dataset("val").ids]
    assert sorted(everything) == Shades().ids


@pytest.mark.parametrize("stop_at", [(0, 0, 1), (1, 1, 2)])
def test_a_run_that_was_broken_off_continues_and_ends_with_the_same_numbers(straight, trained, tmp_path, stop_at):
    seen, watched = trained
    watched.stop_at = stop_at
    with pytest.raises(Interrupted):
        compared(tmp_path / "run")
    before, watched.stop_at = list(seen), None
    seen.clear()
    result = compared(tmp_path / "run")
    whole = [(fold, epoch, batch) for fold in range(FOLDS) for epoch in range(2) for batch in range(3)]
    assert before == [place for place in whole if place < stop_at]
    assert seen == [place for place in whole if place[:2] >= stop_at[:2]]  # from the last whole epoch on
    assert str(result) == str(straight[1])  # of which some numbers may be NaN
    seen.clear()
    assert str(compared(tmp_path / "run")) == str(result)  # from the files alone
    assert seen == []


def test_another_method_uses_the_same_models(straight, trained):
    seen, _ = trained
    folder, first = straight
    result = compared(folder, methods=[Saliency(), "RandomMap"], pairs=True)
    assert seen == []
    assert str(result.methods["Saliency"]) == str(first.methods["Saliency"])
    assert result.methods["RandomMap"].mege == 1  # the same random map for all models


def test_a_folder_of_another_run_is_refused(straight):
    for arguments, message in (
        ({"folds": 2}, r"models of another run \(other folds\)"),
        ({"seed": 1}, r"other folds, seed"),
        ({"images": 9}, r"other data, samples"),
        ({"shuffle": False}, "other folds"),
    ):
        with pytest.raises(InputError, match=message):
            compared(straight[0], **arguments)


def test_what_cannot_be_is_refused_before_anything_is_trained(tmp_path, trained):
    for arguments, message in (
        ({"folds": 1}, "folds is 1: give 2 or more"),
        ({"folds": 19}, "folds is 19"),
        ({"methods": []}, "methods is empty"),
        ({"methods": ["GradCam"]}, "'GradCam' does not exist"),
        ({"methods": ["Saliency", Saliency()]}, "Saliency is there twice"),
        ({"distance": "lpips"}, "distance is"),
    ):
        with pytest.raises(InputError, match=message):
            compared(tmp_path / "run", **arguments)
    trainer = Trainer(accelerator="cpu", enable_progress_bar=False, max_epochs=-1)
    with pytest.raises(InputError, match=r"set trainer\.max_epochs"):
        trainer.representativity(classifier(), ShadeData(), str(tmp_path / "run"), ["Saliency"])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("years")
    with pytest.raises(InputError, match="is not a folder of this verb"):
        compared(tmp_path / "other")
    data = ShadeData()
    data.pictures.labels[3] = -1
    with pytest.raises(InputError, match="have no label"):
        Folds(data, 3, 0)
    assert trained[0] == []
