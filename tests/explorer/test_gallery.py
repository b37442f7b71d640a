"""Samples with their explanations: pictures, values, scores, and where each is found."""

import base64
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from lit_coiba.concepts.concept_run import PREDICTED
from lit_coiba.explorer import build
from lit_coiba.store import ExplanationStore
from tests._testers.explorer_concepts import write_concepts
from tests._testers.explorer_runs import METRICS, World, write_benchmark, write_images, write_store
from tests._testers.runs import NoisePictures


def beside(file):
    return json.loads(re.fullmatch(r'litCoiba\.receive\("[\w-]+",(.*)\);\n', file.read_text(), re.S)[1])


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder, world = tmp_path_factory.mktemp("gallery"), World(2, 3)
    return [
        write_store(folder / "Saliency", world, "Saliency"),
        write_store(folder / "Signed", world, "Signed", signed=True),
        write_benchmark(folder / "table", world, ("Saliency", "Signed")),
    ]


@pytest.fixture(scope="module")
def shown(stores, tmp_path_factory):
    return build(stores, tmp_path_factory.mktemp("site")).path


def test_values_are_those_of_the_stores(stores, shown):
    for cls in range(2):
        page = json.loads((shown / f"gallery/{cls:05d}-000.json").read_text())
        values = beside(shown / page["beside"]["values"])
        assert page["methods"] == ["Saliency", "Signed"]
        assert len(page["samples"]) == page["total"] == 3
        for sample, texts in zip(page["samples"], values):
            for told, text in zip(sample["maps"], texts):
                row = ExplanationStore(stores[told["method"]])[sample["id"]]
                levels = np.frombuffer(base64.b64decode(text), np.uint8).reshape(told["grid"])
                back = told["low"] + (told["high"] - told["low"]) * levels / 255
                assert np.abs(back - row.map.numpy()).max() < (told["high"] - told["low"]) / 500
                assert told["probability"] == pytest.approx(row.probability)
                assert told["signed"] == (told["method"] == 1)


def test_scores_are_those_of_the_benchmark(stores, shown):
    page = json.loads((shown / "gallery/00001-000.json").read_text())
    for sample in page["samples"]:
        for told, method in zip(sample["maps"], page["methods"]):
            row = ExplanationStore(stores[2] / method)[sample["id"]]
            assert told["scores"] == {name: pytest.approx(float(row.extras[name])) for name in METRICS}


def test_without_pictures_there_are_maps(shown):
    page = json.loads((shown / "gallery/00000-000.json").read_text())
    assert [sample["picture"] for sample in page["samples"]] == [None] * 3
    assert all((shown / told["overlay"]["src"]).is_file() for sample in page["samples"] for told in sample["maps"])


def test_pictures_come_from_a_folder(stores, tmp_path):
    world = World(2, 3)
    images = write_images(tmp_path / "images", world)
    (images / world.ids(1)[2]).unlink()
    with pytest.warns(UserWarning, match="1 picture cannot be read from images, such as 0001/"):
        site = build(stores, tmp_path / "site", images=images).path
    found = [sample["picture"] for sample in json.loads((site / "gallery/00000-000.json").read_text())["samples"]]
    for name, picture in zip(world.ids(0), found):
        with Image.open(images / name) as one, Image.open(site / picture["src"]) as other:
            assert np.abs(np.asarray(one, float) - np.asarray(other, float)).mean() < 12
    (images / world.ids(0)[0]).unlink()
    (images / world.ids(1)[2]).write_bytes((images / world.ids(1)[1]).read_bytes())
    with pytest.warns(UserWarning, match="1 picture cannot be read from images, such as 0000/"):
        assert build(stores, tmp_path / "site", images=images).made == ["00000", "00001", "site"]


def test_pictures_come_from_a_dataset(stores, tmp_path):
    class Pictures(NoisePictures):
        def __init__(self):
            super().__init__(6)
            self.ids = [name for cls in range(2) for name in World(2, 3).ids(cls)]

    site = build(stores, tmp_path / "site", images=Pictures()).path
    page = json.loads((site / "gallery/00001-000.json").read_text())
    assert all(sample["picture"]["width"] == 32 for sample in page["samples"])


def test_an_id_does_not_lead_out_of_the_folder(tmp_path):
    class Outside(World):
        def ids(self, cls):
            return ["../secret.png"] if cls == 0 else ["/etc/passwd"]

    world = Outside(2, 1)
    (tmp_path / "images").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "secret.png")
    store = write_store(tmp_path / "store", world, "Saliency")
    with pytest.warns(UserWarning, match="2 pictures cannot be read"):
        site = build([store], tmp_path / "site", images=tmp_path / "images").path
    assert not list(site.rglob("image-*"))


def test_many_samples_are_several_pages(tmp_path):
    store = write_store(tmp_path / "store", World(1, 95), "Saliency")
    site = build([store], tmp_path / "site").path
    pages = [json.loads(file.read_text()) for file in sorted((site / "gallery").glob("*.json"))]
    assert [len(page["samples"]) for page in pages] == [40, 40, 15]
    assert [page["parts"] for page in pages] == [pages[0]["parts"]] * 3
    names = [sample["id"] for page in pages for sample in page["samples"]]
    assert names == sorted(World(1, 95).ids(0))
    for address, sample in [(page["address"], sample) for page in pages for sample in page["samples"]]:
        entry = next(one for one in beside(site / "data/search-000.js") if one[0] == "image" and one[1] == sample["id"])
        assert entry[3] == f"{address}#{sample['anchor']}"


def test_a_page_of_many_methods_stays_small(tmp_path):
    stores = [write_store(tmp_path / f"store{k:02d}", World(1, 24), f"Method{k}") for k in range(14)]
    site = build(stores, tmp_path / "site").path
    pages = sorted((site / "gallery").glob("*.html"))
    assert len(pages) == 3
    assert max(page.stat().st_size for page in pages) < 150_000


def test_images_that_nobody_explained_or_measured_are_no_samples(tmp_path):
    """A run predicts all images of a dataset, and measures some of them; there are pictures of those."""
    large, small = World(2, 12), World(2, 4)
    run = write_concepts(tmp_path / "concepts", small)
    shutil.copy(write_concepts(tmp_path / "large", large) / PREDICTED, run / PREDICTED)
    site = build([run], tmp_path / "site").path
    page = json.loads((site / "gallery/00000-000.json").read_text())
    assert [sample["id"] for sample in page["samples"]] == small.ids(0)
    failures = json.loads((site / "failures.json").read_text())
    assert failures["n_wrong"] == 6
    found = {
        sample["id"]: (sample["picture"], place) for sample, place in zip(failures["errors"], failures["addresses"])
    }
    for name, label in zip(large.ids(0), large.labels(0)):
        if label != 0:
            assert (found[name] == (None, None)) == (name not in small.ids(0))
    images = write_images(tmp_path / "images", large)
    site = build([run], tmp_path / "site", images=images).path
    names = [s["id"] for s in json.loads((site / "gallery/00000-000.json").read_text())["samples"]]
    assert names == sorted({*small.ids(0), large.ids(0)[7], large.ids(0)[11]})
    assert all(one["picture"] for one in json.loads((site / "failures.json").read_text())["errors"])


def test_without_explanations_nothing_is_said_of_methods(tmp_path, world):
    site = build([write_concepts(tmp_path / "run", world)], tmp_path / "site").path
    pages = [site / "gallery.html", *(site / "gallery").glob("*.html")]
    assert len(pages) > 1
    for page in pages:
        text = page.read_text()
        assert "explained by" not in text
        assert "data-methods" not in text or "data-methods hidden" in text
    assert "explained" not in (site / "index.html").read_text()
