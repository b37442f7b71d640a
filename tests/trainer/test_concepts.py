"""The verb `concepts`: what it leaves of each class, whatever stops it, and what it refuses."""

import io
import json
import os

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from lit_coiba.concepts import NMF, ConceptRun, SemiNMF
from lit_coiba.core.errors import InputError
from lit_coiba.data.transforms import Transform
from lit_coiba.files.held import free
from lit_coiba.modules.concept_search import ConceptSearch
from lit_coiba.trainer import concepts as verb
from tests._testers import tiny
from tests._testers.runs import NoiseData, make_trainer

COUNT, CONCEPTS = 30, 3


@pytest.fixture(scope="module")
def model():
    return tiny.vit()


def search(model, folder, data=None, settings=None, **arguments):
    quick = {"factorization": SemiNMF(CONCEPTS, max_iter=20), "layer": "blocks.3", "n_samples": 8, "measured": 4}
    module = ConceptSearch(model, **{**quick, **(settings or {})})
    return make_trainer().concepts(module, data or NoiseData(COUNT, 4), str(folder), **arguments)


@pytest.fixture(scope="module")
def found(model, tmp_path_factory):
    return search(model, tmp_path_factory.mktemp("concepts") / "run")


def content(run):
    """What decides pages: all files of all classes but for their compression."""
    tables = {cls: (run.points(cls), run.crops(cls)) for cls in run.classes}
    return {
        "reports": list(run.reports()),
        "tables": {cls: [table.to_pylist() for table in both] for cls, both in tables.items()},
        "predictions": run.predictions().to_pylist(),
        "digests": [run.concepts(cls).digest() for cls in run.classes if run.report(cls).concepts],
    }


def predictions(model):
    pictures, transform = NoiseData(COUNT).pictures, Transform(model.preprocessing)
    with torch.no_grad():
        return model(torch.stack([transform(pictures.image(i)) for i in range(COUNT)]))


def test_every_class_that_gets_an_image_has_concepts(model, found):
    logits = predictions(model)
    assert found.classes == logits.argmax(1).unique().tolist()
    table = found.predictions()
    assert table["predicted"].to_pylist() == logits.argmax(1).tolist()
    np.testing.assert_allclose(table["logit"].to_numpy(), logits.amax(1).numpy(), atol=1e-4)
    np.testing.assert_allclose(table["probability"].to_numpy(), logits.softmax(1).amax(1).numpy(), atol=1e-4)
    for report in found.reports():
        assert report.predicted == report.used == int((logits.argmax(1) == report.cls).sum())
        assert len(report.concepts) == CONCEPTS
        assert sum(one.share for one in report.concepts) == pytest.approx(1, abs=1e-4)


def test_points_say_what_reports_sum_up(model, found):
    logits = predictions(model)
    for report in found.reports():
        points = found.points(report.cls)
        contributions = np.array(points["contributions"].to_pylist())
        assert points["top"].to_pylist() == contributions.argmax(1).tolist()
        assert [one.top_of for one in report.concepts] == np.bincount(contributions.argmax(1), minlength=3).tolist()
        own = [int(name.split("/")[1][:3]) for name in points["id"].to_pylist()]
        np.testing.assert_allclose(points["logit"].to_numpy(), logits[own, report.cls].numpy(), atol=1e-4)
        chosen = [i * len(own) // report.measured for i in range(report.measured)]
        assert report.logit == pytest.approx(float(logits[own, report.cls][chosen].mean()), abs=1e-4)
        means = contributions[chosen].mean(0)
        for one, mean in zip(report.concepts, means):
            assert one.contribution.mean == pytest.approx(mean, abs=1e-4)
            assert one.contribution.low <= one.contribution.mean <= one.contribution.high
            assert one.sign == np.sign(mean)


def test_pictures_are_what_the_model_saw(model, found):
    cls = found.classes[0]
    first = found.points(cls).to_pylist()[0]
    number = int(first["id"].split("/")[1][:3])
    seen = np.asarray(Image.open(io.BytesIO(first["picture"])).convert("RGB")).astype(int)
    own = np.asarray(NoiseData(COUNT).pictures.image(number).resize((32, 32), Image.Resampling.BICUBIC)).astype(int)
    assert seen.shape == (32, 32, 3)
    assert np.abs(seen - own).mean() < 30
    crops = found.crops(cls).to_pylist()
    for concept in range(CONCEPTS):
        ranked = [row for row in crops if row["concept"] == concept]
        strengths = [row["coefficient"] for row in ranked]
        assert strengths == sorted(strengths, reverse=True)
        assert len({row["id"] for row in ranked}) == len(ranked)
    assert all(Image.open(io.BytesIO(row["crop"])).format == "WEBP" for row in crops)


def test_the_same_call_does_nothing_again_and_damage_is_made_anew(model, found, monkeypatch):
    before = {cls: os.stat(found.folder(cls) / "class.json").st_mtime_ns for cls in found.classes}
    cls, own = found.classes[1], verb.write_class
    torn = found.folder(cls) / "points.parquet"
    torn.write_bytes(torn.read_bytes()[:-9])
    done = []
    monkeypatch.setattr(verb, "write_class", lambda *given: (done.append(given[4]), own(*given))[1])
    with pytest.raises(InputError, match=f"class {cls} .* is damaged"):
        found.points(cls)
    again = search(model, found.path)
    assert done == [cls]
    after = {number: os.stat(again.folder(number) / "class.json").st_mtime_ns for number in again.classes}
    assert [number for number in before if before[number] != after[number]] == [cls]


def test_stopped_it_goes_on_and_ends_the_same(model, found, tmp_path, monkeypatch):
    own, done = verb.write_class, []

    def falls(*given):
        if len(done) == 1:
            raise RuntimeError("the power went out")
        done.append(given[4])
        return own(*given)

    monkeypatch.setattr(verb, "write_class", falls)
    with pytest.raises(RuntimeError, match="power"):
        search(model, tmp_path / "run")
    assert ConceptRun(tmp_path / "run").classes == done
    monkeypatch.setattr(verb, "write_class", lambda *given: (done.append(given[4]), own(*given))[1])
    again = search(model, tmp_path / "run")
    assert done == again.classes  # each once
    assert content(again) == content(found)


def test_a_class_that_another_process_has_is_waited_for(model, tmp_path, monkeypatch):
    folder, waits = tmp_path / "run", []
    whole = search(model, folder)
    cls = whole.classes[0]
    (whole.folder(cls) / "class.json").unlink()
    with free(whole.folder(cls)) as ours:
        assert ours
        hold = whole.folder(cls) / ".lit-coiba-running"
        monkeypatch.setattr(verb.time, "sleep", lambda _: (waits.append(1), hold.unlink()))
        again = search(model, folder)
    assert waits
    assert again.is_whole(cls)


def test_some_classes_by_number_and_more_later(model, found, tmp_path):
    cls, other = found.classes[:2]
    few = search(model, tmp_path / "run", classes=[str(cls)])
    assert few.classes == [cls]
    more = search(model, tmp_path / "run", classes=[str(other), str(cls)])
    assert more.classes == [cls, other]
    assert more.report(cls) == found.report(cls)


def test_a_class_without_images_says_so(model, found, tmp_path):
    empty = next(cls for cls in range(tiny.CLASSES) if cls not in found.classes)
    report = search(model, tmp_path / "run", classes=[str(empty)]).report(empty)
    assert report.concepts == ()
    assert report.reason == "the model gives it none of the images"
    with pytest.raises(InputError, match=f"class {empty} has no concepts: the model gives it none"):
        ConceptRun(tmp_path / "run").concepts(empty)


def test_images_that_cannot_be_read_are_left_out(model, tmp_path):
    with pytest.warns(UserWarning, match="2 images could not be read"):
        run = search(model, tmp_path / "run", NoiseData(COUNT, 4, broken={0, 5}))
    assert len(run.predictions()) == COUNT - 2


@pytest.mark.parametrize(
    ("settings", "arguments", "message"),
    [
        ({"factorization": NMF(3)}, {}, r"layer blocks.3 have negative values \(down to .*\), and NMF takes none"),
        ({}, {"classes": ["leopard"]}, "classes: leopard does not exist: give names, or numbers from 0 to 9"),
        ({}, {"classes": ["10"]}, "classes: 10 does not exist"),
        ({}, {"classes": []}, "classes is empty"),
        ({"n_samples": 12}, {}, "n_samples is 12: give a power of two"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(model, tmp_path, settings, arguments, message):
    with pytest.raises(InputError, match=message):
        search(model, tmp_path / "run", settings=settings, **arguments)
    assert not (tmp_path / "run").exists()


def test_another_folder_or_other_arguments_are_refused_and_lose_nothing(model, found, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"not a folder of this verb, and has other files, such as thesis\.txt"):
        search(model, tmp_path / "mine")
    before = content(found)
    with pytest.raises(InputError, match=r"was made with other arguments .*measured 4 -> 5"):
        search(model, found.path, settings={"measured": 5})
    other = tiny.vit(depth=5)
    with pytest.raises(InputError, match="--if_changed recompute"):
        search(other, found.path)
    assert content(found) == before


def test_other_weights_are_done_again_where_that_is_asked(model, tmp_path):
    first = search(model, tmp_path / "run")
    digest = first.concepts(first.classes[0]).about.model
    again = search(tiny.vit(depth=5), tmp_path / "run", if_changed="recompute")
    assert again.concepts(again.classes[0]).about.model != digest


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="has no concepts: give a folder that lit-coiba concepts wrote"):
        ConceptRun(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"schema_version": 1, "identity": {"model": "x"}}))
    with pytest.raises(InputError, match="is no folder of concepts"):
        ConceptRun(tmp_path)


def test_crops_are_those_of_the_paper(model, tmp_path):
    run = search(model, tmp_path / "run", settings={"crop_size": 16}, classes=["0", "1", "2", "3"])
    report = next(report for report in run.reports() if report.concepts)
    assert report.crop_size == 16
    assert report.rows == 4 * report.used
    row = run.crops(report.cls).to_pylist()[0]
    assert (row["bottom"] - row["top"], row["right"] - row["left"]) == (16, 16)
    assert pq.read_table(run.folder(report.cls) / "crops.parquet").num_rows > 0
