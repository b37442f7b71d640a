"""The verb `parts`: a table that grows by method, whatever stops it."""

import csv

import pytest

from lit_coiba.attribution import EdgeDetector, InputXGradient, Saliency
from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.data import AdditiveParts
from lit_coiba.data.synthetic.additive import AdditiveClassifier
from lit_coiba.modules.part_evaluator import PartEvaluator
from lit_coiba.store import ExplanationStore
from tests._testers.runs import NoiseData, make_trainer
from tests.modules.test_part_evaluator import PIXELS

COUNT = 12


@pytest.fixture
def backbone():
    return Backbone.wrap(AdditiveClassifier(), PIXELS)


def evaluate(backbone, folder, method=None, **arguments):
    settings = {name: arguments.pop(name) for name in ("dilation",) if name in arguments}
    model = PartEvaluator(backbone, method or InputXGradient(), **settings)
    data = arguments.pop("data", None) or AdditiveParts(batch_size=3)
    return make_trainer().parts(model, data, str(folder), **{"limit": COUNT, **arguments})


def test_methods_are_rows_of_one_table(backbone, tmp_path):
    evaluate(backbone, tmp_path / "p")
    table = evaluate(backbone, tmp_path / "p", EdgeDetector())
    table = evaluate(backbone, tmp_path / "p", EdgeDetector("laplace"), name="Laplace")
    assert list(table.rows) == ["EdgeDetector", "InputXGradient", "Laplace"]
    best = table.rows["InputXGradient"]
    assert (best.images, best.not_positive, best.contrasted) == (COUNT, 0, COUNT)
    assert best.scores.overall.mean == 1 > table.rows["EdgeDetector"].scores.overall.mean
    text = (tmp_path / "p" / "parts.md").read_text()
    assert text == table.markdown()
    assert "| InputXGradient | 1.000 (1.000 to 1.000) |" in text
    with (tmp_path / "p" / "parts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 12
    found = {row["score"]: float(row["mean"]) for row in rows if row["method"] == "Laplace"}
    assert found["sd"] == table.rows["Laplace"].scores.sd.mean


def test_a_stopped_run_goes_on_with_what_is_missing(backbone, tmp_path, monkeypatch):
    done, whole = [], evaluate(backbone, tmp_path / "whole")
    step = PartEvaluator.predict_step

    def torn(self, batch):
        if batch.block == 2 and len(done) < 3:
            done.append(batch.block)
            raise KeyError("torn")
        done.append(batch.block)
        return step(self, batch)

    monkeypatch.setattr(PartEvaluator, "predict_step", torn)
    with pytest.raises(KeyError, match="torn"):
        evaluate(backbone, tmp_path / "p")
    assert done == [0, 1, 2]
    again = evaluate(backbone, tmp_path / "p")
    assert done == [0, 1, 2, 2, 3]
    assert again.markdown() == whole.markdown()
    stores = [ExplanationStore(tmp_path / name / "InputXGradient") for name in ("p", "whole")]
    assert stores[0].digest() == stores[1].digest()
    evaluate(backbone, tmp_path / "p")
    assert done == [0, 1, 2, 2, 3]


def test_blocks_of_another_size_are_rows_of_the_same_table(backbone, tmp_path):
    evaluate(backbone, tmp_path / "p")
    table = evaluate(backbone, tmp_path / "p", Saliency(), data=AdditiveParts(batch_size=5))
    assert list(table.rows) == ["InputXGradient", "Saliency"]


def test_shards_make_one_table(backbone, tmp_path):
    first = evaluate(backbone, tmp_path / "p", shard="0/2")
    assert first.rows["InputXGradient"].images == COUNT / 2
    both = evaluate(backbone, tmp_path / "p", shard="1/2")
    assert both.rows["InputXGradient"].images == COUNT


def test_other_settings_need_another_folder_and_other_images_are_another_table(backbone, tmp_path):
    evaluate(backbone, tmp_path / "p")
    with pytest.raises(InputError, match=r"parts\.dilation 5 -> 3"):
        evaluate(backbone, tmp_path / "p", dilation=3)
    with pytest.raises(InputError, match="was made with other arguments"):
        evaluate(backbone, tmp_path / "p", limit=6)
    with pytest.warns(UserWarning, match="another model or of other images too, InputXGradient: no rows"):
        other = evaluate(backbone, tmp_path / "p", Saliency(), limit=6)
    assert list(other.rows) == ["Saliency"]  # not beside scores of other images
    renewed = evaluate(backbone, tmp_path / "p", limit=6, if_changed="recompute")
    assert {name: row.images for name, row in renewed.rows.items()} == {"InputXGradient": 6, "Saliency": 6}


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "parts.md"])
def test_a_name_that_is_none_of_a_folder_is_refused(backbone, tmp_path, name):
    with pytest.raises(InputError, match="give the name of a row"):
        evaluate(backbone, tmp_path / "p", name=name)


def test_files_of_others_stay(backbone, tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not a folder of this verb"):
        evaluate(backbone, tmp_path / "p")
    assert [file.name for file in (tmp_path / "p").iterdir()] == ["notes.txt"]


def test_data_without_parts_are_refused_before_anything_is_written(backbone, tmp_path):
    with pytest.raises(InputError):
        evaluate(backbone, tmp_path / "p", data=NoiseData(4))
    assert not (tmp_path / "p").exists()
