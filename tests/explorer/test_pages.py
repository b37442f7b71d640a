"""Overview, failures, prototypes, comparison and search say what the runs say."""

import json
import re

import numpy as np
import pytest

from lit_coiba.explorer import build
from tests._testers.explorer_concepts import write_concepts
from tests._testers.explorer_runs import World, write_store
from tests._testers.explorer_units import write_prototypes


def told(site, name):
    return json.loads((site / f"{name}.json").read_text())


def beside(site, name):
    text = (site / f"data/{name}.js").read_text()
    return json.loads(re.fullmatch(rf'litCoiba\.receive\("{name}",(.*)\);\n', text, re.S)[1])


def test_classes_of_one_name_have_a_page_each(site, world):
    found = [told(site, f"classes/{cls:05d}") for cls in range(world.classes)]
    assert [(page["id"], page["name"]) for page in found] == list(enumerate(world.class_names))
    assert found[3]["name"] == found[4]["name"] == "twin"
    assert found[3]["next"] == found[4]["address"]


def test_accuracy_is_a_recount(site, world):
    labels = [(cls, label) for cls in range(world.classes) for label in world.labels(cls)]
    page = told(site, "index")
    assert page["n_images"] == page["n_labelled"] == len(labels)
    assert page["accuracy"] == np.mean([cls == label for cls, label in labels])
    columns = beside(site, "classes")
    for cls in range(world.classes):
        own = [given for given, label in labels if label == cls]
        assert columns["accuracy"][cls] == told(site, f"classes/{cls:05d}")["accuracy"] == np.mean(np.equal(own, cls))
        assert columns["n_labelled"][cls] == len(own)


def test_confusions_are_a_recount(site, world):
    page = told(site, "classes/00001")
    incoming = [one for one in page["confusions"] if one["incoming"]]
    outgoing = [one for one in page["confusions"] if not one["incoming"]]
    wrong = [name for name, label in zip(world.ids(1), world.labels(1)) if label == 2]
    assert [(one["other"]["id"], one["count"]) for one in incoming] == [(2, len(wrong))]
    assert [(one["other"]["id"], one["count"]) for one in outgoing] == [(0, world.labels(0).count(1))]
    assert sum(count for _, count in incoming[0]["top_concepts"]) == len(wrong)
    assert {name for name, *_ in incoming[0]["examples"]} <= set(wrong)


def test_errors_are_the_most_certain_ones(site, world):
    page = told(site, "failures")
    wrong = sorted(
        (-float(p), name)
        for cls in range(world.classes)
        for name, label, p in zip(world.ids(cls), world.labels(cls), world.probabilities(cls))
        if label != cls
    )
    assert page["n_wrong"] == len(wrong)
    assert [sample["id"] for sample in page["errors"]] == [name for _, name in wrong[:40]]
    for sample, address in zip(page["errors"], page["addresses"]):
        gallery = told(site, address.partition(".html")[0])
        one = gallery["samples"][[s["anchor"] for s in gallery["samples"]].index(address.partition("#")[2])]
        assert (one["id"], one["label"]) == (sample["id"], sample["label"])
    assert sum(pair["count"] for pair in page["pairs"]) == len(wrong)


def test_explanations_on_the_background_are_those_of_least_energy(site, world):
    page = told(site, "failures")
    scores = {
        (sample["id"], gallery["methods"][one["method"]]): one["scores"]["energy"]
        for file in site.glob("gallery/*.json")
        for gallery in [json.loads(file.read_text())]
        for sample in gallery["samples"]
        for one in sample["maps"]
    }
    assert page["metric"] == "energy"
    found = [(one["id"], one["method"]) for one in page["background"]]
    assert found[0] == min(scores, key=scores.get)
    assert [scores[key] for key in found] == sorted(scores[key] for key in found)


def test_the_leaderboard_is_that_of_the_benchmark(site):
    board = told(site, "index")["leaderboards"][0]
    assert board["methods"] == ["Saliency", "InputXGradient"]
    assert [(metric["name"], metric["higher"]) for metric in board["metrics"]][:3] == [
        ("insertion", True),
        ("deletion", False),
        ("energy", True),
    ]
    assert all(cell["low"] <= cell["mean"] <= cell["high"] for row in board["cells"] for cell in row)


def test_units_and_their_classes(site, world):
    listed = told(site, "prototypes")
    assert [unit["id"] for unit in listed["units"]] == list(range(world.units))
    assert [unit["state"] for unit in listed["units"]] == ["duplicate", "duplicate", "", "dead"]
    one = told(site, "prototypes/00000")
    assert [patch["score"] for patch in one["positive"]] == [3.0, 2.0]
    assert one["duplicates"] == [{"title": "Unit 1", "address": "prototypes/00001.html"}]
    assert one["unit"]["users"][0] == [{"id": 0, "name": world.class_names[0], "address": "classes/00000.html"}, 1.5]
    assert [unit["unit"] for unit in told(site, "classes/00001")["prototypes"]] == [1]


def test_prototypes_alone_are_a_site(tmp_path):
    site = build([write_prototypes(tmp_path / "prototypes", World(3, 4))], tmp_path / "site").path
    assert len(list((site / "prototypes").glob("*.html"))) == 4
    assert len(list((site / "classes").glob("*.html"))) == 3
    assert not (site / "failures.html").exists()


def test_images_that_only_one_model_gets_right(tmp_path):
    first = World(3, 8)
    labels = {name: label for cls in range(3) for name, label in zip(first.ids(cls), first.labels(cls))}

    class Second(World):
        """Another class for the first image of class 0, and the right one, 2, for the last that the first calls 1."""

        def ids(self, cls):
            zero, one, two = (first.ids(k) for k in range(3))
            return ([*zero[1:], two[0]], [*one[:-1], zero[0]], [*two[1:], one[-1]])[cls]

        def labels(self, cls):
            return [labels[name] for name in self.ids(cls)]

    runs = [write_store(tmp_path / "first", first, "Saliency")]
    other = [write_store(tmp_path / "second", Second(3, 8, model="another"), "Saliency")]
    site = build(runs, tmp_path / "site", other=other).path
    page = told(site, "compare")
    assert (page["n_common"], page["only_first"], page["only_second"]) == (24, 2, 1)
    assert page["agreement"] == 21 / 24
    assert [name for name, _ in told(site, "compare/00000")["only_first"]] == [first.ids(0)[0]]
    assert [name for name, _ in told(site, "compare/00002")["only_second"]] == [first.ids(1)[-1]]
    rows = {row["cls"]["id"]: row["accuracy"] for row in beside(site, "comparison")}
    both = [[labels[name] == cls for cls in range(3) for name in world.ids(cls)] for world in (first, Second(3, 8))]
    assert [side["accuracy"] for side in page["sides"]] == [np.mean(right) for right in both]
    assert rows[0] == [side["accuracy"] for side in told(site, "compare/00000")["sides"]]


def test_what_is_similar_in_other_classes_is_linked(site):
    layer = told(site, "classes/00002")["layers"][0]
    similar = layer["concepts"][0]["similar"]
    assert [(one["id"], one["concept"], one["address"]) for one in similar] == [(3, 0, "concepts/00003-00.html")]
    assert similar[0]["cosine"] > 0.8
    assert similar[0]["color"] == told(site, "concepts/00003-00")["concept"]["color"]


def test_names_that_people_gave_are_shown_and_found(tmp_path):
    run = write_concepts(tmp_path / "concepts", World(4, 3))
    (run / "names.yaml").write_text('2:\n  0: "stripes <b>"\n')
    site = build([run], tmp_path / "site").path
    concept = told(site, "classes/00002")["layers"][0]["concepts"][0]
    assert (concept["name"], concept["named"]) == ("stripes <b>", True)
    assert told(site, "classes/00003")["layers"][0]["concepts"][0]["similar"][0]["concept_name"] == "stripes <b>"
    entries = [one for one in beside(site, "search-000") if one[0] == "concept"]
    assert [one[1:4] for one in entries] == [["stripes <b>", World(4, 3).class_names[2], "concepts/00002-00.html"]]
    assert "stripes &lt;b&gt;" in (site / "concepts/00002-00.html").read_text()


def test_a_concept_that_points_to_another_class_is_flagged(tmp_path):
    site = build([write_concepts(tmp_path / "concepts", World(3, 60))], tmp_path / "site").path
    for cls in range(3):
        for concept in told(site, f"classes/{cls:05d}")["layers"][0]["concepts"]:
            expected = concept["important"] and concept["sign"] > 0 and concept["id"] == 1
            assert bool(concept["flag"]) == expected


@pytest.mark.parametrize("kind", ["class", "unit", "image"])
def test_everything_can_be_searched_for(site, world, kind):
    counts = {"class": world.classes, "unit": world.units, "image": world.classes * world.images}
    found = [one for number in range(beside(site, "search")) for one in beside(site, f"search-{number:03d}")]
    assert sum(one[0] == kind for one in found) == counts[kind]
    assert told(site, "search")["total"] == len(found)
