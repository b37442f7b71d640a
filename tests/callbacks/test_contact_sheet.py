"""The pictures that `Trainer.explain` has drawn: when, how to switch them off, and how to have others."""

import pytest

from lit_coiba.callbacks import ContactSheet, Explained, StoreCallback
from lit_coiba.pictures.page import Page
from lit_coiba.trainer import Trainer
from tests._testers import tiny
from tests._testers.runs import NoiseData, Shade, explain, make_trainer

SHEET = "contact_sheet.png"


class Remembers(StoreCallback):
    """A user's own."""

    def __init__(self):
        self.seen = []

    def on_explain_end(self, explained):
        self.seen.append(explained)


@pytest.fixture(scope="module")
def model():
    return tiny.vit()


@pytest.fixture
def drawn(monkeypatch):
    """Numbers of explanations that sheets were drawn of."""
    counts = []

    def draw(store, images, preprocessing, file, *, count, note, **others):
        counts.append(count)
        Page(8, 8).save(file, note)

    monkeypatch.setattr("lit_coiba.callbacks.contact_sheet.contact_sheet", draw)
    return counts


def test_there_is_a_sheet_by_default(model, tmp_path):
    store = explain(model, tmp_path / "s", NoiseData(3), pictures=True)
    assert (store.path / SHEET).stat().st_size > 1000


def test_is_drawn_where_blocks_were_written_or_it_is_missing(model, tmp_path, drawn):
    explain(model, tmp_path / "s", NoiseData(4), pictures=True, trainer=make_trainer(limit_predict_batches=1))
    explain(model, tmp_path / "s", NoiseData(4), pictures=True)
    assert drawn == [24, 24]
    explain(model, tmp_path / "s", NoiseData(4), pictures=True)
    assert drawn == [24, 24]
    (tmp_path / "s" / SHEET).unlink()
    explain(model, tmp_path / "s", NoiseData(4), pictures=True)
    assert drawn == [24, 24, 24]


def test_can_be_switched_off_and_drawn_later(model, tmp_path, drawn, monkeypatch):
    store = explain(model, tmp_path / "s", NoiseData(4), pictures=False)
    assert drawn == []
    names = ["blocks", "manifest.json", "samples.parquet", "tensorboard"]
    assert sorted(file.name for file in store.path.iterdir()) == names
    monkeypatch.setattr(Trainer, "predict", None)  # nothing is explained again
    explain(model, tmp_path / "s", NoiseData(4), pictures=True)
    assert drawn == [24]


@pytest.mark.parametrize("pictures", [True, False])
def test_of_the_users_own_takes_its_place(model, tmp_path, drawn, pictures):
    trainer = make_trainer(callbacks=[ContactSheet(count=5)])
    explain(model, tmp_path / "s", NoiseData(4), pictures=pictures, trainer=trainer)
    assert drawn == [5]


@pytest.mark.parametrize("pictures", [True, False])
def test_callbacks_of_the_user_are_told_when_all_blocks_are_on_disk(model, tmp_path, drawn, pictures):
    own, method, data = Remembers(), Shade(), NoiseData(4, 2)
    trainer = make_trainer(callbacks=[own])
    store = explain(model, tmp_path / "s", data, method, trainer=trainer, pictures=pictures)
    (first,) = own.seen
    assert isinstance(first, Explained)
    assert first.store.digest() == store.digest()
    assert (first.images, first.method, first.about.names.same, first.changed) == (data.pictures, method, True, True)
    assert first.transform.preprocessing == model.preprocessing
    explain(model, tmp_path / "s", data, method, trainer=trainer, pictures=pictures)
    assert [one.changed for one in own.seen] == [True, False]
    assert [one for one in trainer.callbacks if isinstance(one, StoreCallback)] == [own]
