"""What is important is recounted, and a color is the same wherever a concept is shown."""

import json
from collections import Counter

import pytest

from lit_coiba.explorer import build
from tests._testers.explorer_concepts import write_concepts
from tests._testers.explorer_runs import World


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Classes of 40 images: some concepts are the top ones of ten and more."""
    folder = tmp_path_factory.mktemp("important")
    site = build([write_concepts(folder / "concepts", World(3, 40))], folder / "site").path
    return site, [json.loads(file.read_text()) for file in sorted((site / "classes").glob("*.json"))]


def test_important_is_the_top_concept_of_ten_images(pages):
    found = set()
    for page in pages[1]:
        layer = page["layers"][0]
        rows = layer["points"]["contributions"]
        tops = Counter(row.index(max(row)) for row in rows)
        for number, concept in enumerate(layer["concepts"]):
            assert concept["n_top"] == tops[number]
            assert concept["important"] == (tops[number] >= 10)
            found.add(concept["important"])
    assert found == {True, False}


def test_colors_agree_between_dots_cards_bars_and_samples(pages):
    site, told = pages
    for page in told:
        layer = page["layers"][0]
        colors = [concept["color"] for concept in layer["concepts"]]
        assert len(set(colors)) == len(colors)
        gallery = json.loads((site / page["gallery"].replace("html", "json")).read_text())
        of = dict(zip(layer["points"]["id"], layer["points"]["top"]))
        assert gallery["samples"]
        for sample in gallery["samples"]:
            assert sample["top"] == of[sample["id"]]
            assert sample["color"] == colors[of[sample["id"]]]
        for concept in layer["concepts"]:
            one = json.loads((site / concept["address"].replace("html", "json")).read_text())["concept"]
            assert one == concept


def test_the_order_is_that_of_shares(pages):
    for page in pages[1]:
        layer = page["layers"][0]
        found = [layer["concepts"][number]["share"] for number in layer["order"]]
        assert found == sorted(found, reverse=True)
        assert sorted(layer["order"]) == list(range(layer["r"]))
