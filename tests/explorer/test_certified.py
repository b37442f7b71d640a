"""Certified radii on pages of samples, of classes and on the first page; nothing where there are none."""

import json
import math

import numpy as np
import pytest

from lit_coiba.explorer import build
from tests._testers.explorer_concepts import write_concepts
from tests._testers.explorer_runs import World, write_store

WORLD = World(3, 12)
NAMES = [name for cls in range(3) for name in WORLD.ids(cls)]
RADII = dict(zip(NAMES, np.random.default_rng(0).exponential(0.2, len(NAMES)).astype(np.float32).tolist()))
RADII[NAMES[0]], RADII[NAMES[1]] = math.inf, 0.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("certified")


@pytest.fixture(scope="module")
def site(folder):
    runs = [
        write_concepts(folder / "concepts", WORLD),  # says of every image what is predicted, and knows no radius
        write_store(folder / "Saliency", WORLD, "Saliency"),
        write_store(folder / "Certified", WORLD, "Certified", radii=RADII),
    ]
    return build(runs, folder / "site").path


def told(site, name):
    return json.loads((site / name).read_text())


def samples(site):
    return [sample for cls in range(3) for sample in told(site, f"gallery/{cls:05d}-000.json")["samples"]]


def test_samples_say_what_their_radius_promises(site):
    found = {sample["id"]: sample for sample in samples(site)}
    assert found.keys() == RADII.keys()
    for name, sample in found.items():
        radius = RADII[name]
        assert sample["radius"] == (pytest.approx(radius) if math.isfinite(radius) else None)
        if 0 < radius < math.inf:
            said = float(sample["promise"].split("less than ")[1].split(" (L2, pixels from 0 to 1)")[0])
            assert radius * 0.99 < said <= radius
    assert found[NAMES[0]]["promise"] == "No change of the pixels changes this decision."
    assert found[NAMES[1]]["promise"].startswith("Nothing is certified of this decision")
    assert all(sample["logit"] is not None for sample in found.values())  # still that of the concepts


def test_classes_are_a_recount(site):
    for cls in range(3):
        page = told(site, f"classes/{cls:05d}.json")
        given = [RADII[name] for name in WORLD.ids(cls)]
        own = [
            (RADII[name], predicted == cls)
            for predicted in range(3)
            for name, label in zip(WORLD.ids(predicted), WORLD.labels(predicted))
            if label == cls
        ]
        found = page["certified"]
        assert found["decisions"] == 12
        assert found["median"] == pytest.approx(float(np.median(given)))
        assert found["share"] == np.mean([radius > 36 / 255 for radius in given])
        expected = [
            np.mean([hit and radius > asked for radius, hit in own]) for asked in (36 / 255, 72 / 255, 108 / 255, 1)
        ]
        assert [part for _, part in found["curve"]] == pytest.approx(expected)
        assert found["accuracy"] == pytest.approx(expected[0])
        text = (site / f"classes/{cls:05d}.html").read_text()
        assert "certified accuracy at 36/255" in text
        assert "median certified radius (L2, pixels from 0 to 1)" in text


def test_the_first_page_has_all_decisions(site):
    page = told(site, "index.json")
    found = page["certified"]
    right = [k == label for k in range(3) for label in WORLD.labels(k)]
    hits = [hit and RADII[name] > 36 / 255 for name, hit in zip(NAMES, right)]
    assert found["accuracy"] == pytest.approx(np.mean(hits))
    (histogram,) = (one for one in page["histograms"] if one["title"] == "Certified radius of the decisions")
    assert sum(histogram["counts"]) == len(NAMES) - 1  # the infinite one has no place
    assert histogram["unit"] == "L2, pixels from 0 to 1"
    text = (site / "index.html").read_text()
    assert 'id="certified"' in text
    assert "36/255 is the usual radius of papers" in text


def test_without_labels_decisions_are_counted(tmp_path):
    class Unlabelled(World):
        def labels(self, cls):
            return [-1] * self.images

    world = Unlabelled(3, 12)
    site = build([write_store(tmp_path / "store", world, "Certified", radii=RADII)], tmp_path / "site").path
    found = told(site, "index.json")["certified"]
    assert found["accuracy"] is None
    assert found["share"] == found["curve"][0][1] == pytest.approx(np.mean([r > 36 / 255 for r in RADII.values()]))
    assert "of the decisions certified at 36/255" in (site / "index.html").read_text()


def test_another_radius_makes_pages_anew(tmp_path):
    others = {**RADII, WORLD.ids(1)[3]: 0.7}
    site = tmp_path / "site"
    build([write_store(tmp_path / "a" / "Certified", WORLD, "Certified", radii=RADII)], site)
    again = build([write_store(tmp_path / "b" / "Certified", WORLD, "Certified", radii=others)], site)
    assert "00001" in again.made
    assert "00000" not in again.made


def test_nothing_is_said_where_there_are_none(tmp_path):
    store = write_store(tmp_path / "Saliency", WORLD, "Saliency")
    site = build([store], tmp_path / "site").path
    for page in site.rglob("*.html"):
        assert "ertified" not in page.read_text().replace('"certified":null', "")
    assert told(site, "index.json")["certified"] is None
    assert {sample["promise"] for sample in samples(site)} == {""}
