"""Shares, residual and bias on the page of a class account for its logit."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_coiba.explorer import build
from lit_coiba.explorer.rounding import percentages
from tests._testers.explorer_concepts import BIAS, RESIDUAL, contributions, write_concepts
from tests._testers.explorer_runs import World

numbers = st.lists(st.floats(-2, 2), min_size=1, max_size=12).filter(lambda values: abs(sum(values)) > 0.05)


@given(numbers)
def test_percent_add_up_to_100_and_are_neighbors_of_the_exact_shares(values):
    shares = [value / sum(values) for value in values]
    found = percentages(shares)
    assert sum(found) == 100
    for share, percent in zip(shares, found):
        assert abs(100 * share - percent) < 1 + 1e-6
        assert percent >= 0 if share >= 0 else percent <= 0


def test_the_largest_remainders_are_rounded_up():
    assert percentages([0.526, 0.247, 0.117, 0.11]) == [52, 25, 12, 11]
    assert percentages([0.525, 0.248, 0.117, 0.11]) == [52, 25, 12, 11]
    assert percentages([1.3, -0.3]) == [130, -30]


@pytest.mark.parametrize("shares", [[0.0, 0.0], [math.nan, 1.0], [math.inf, -math.inf], []])
def test_shares_of_nothing_have_no_percent(shares):
    assert percentages(shares) == [None] * len(shares)


def test_a_page_has_the_contributions_of_the_run(site, world):
    for cls in range(world.classes):
        page = json.loads((site / f"classes/{cls:05d}.json").read_text())
        layer, means = page["layers"][0], contributions(world, cls).mean(0)
        told = [one["contribution"]["mean"] for one in layer["concepts"]]
        assert np.allclose(told, means, atol=1e-5)
        assert sum(one["percent"] for one in layer["concepts"]) == 100
        assert all((one["percent"] >= 0) == (mean >= 0) for one, mean in zip(layer["concepts"], means))
        assert np.isclose(sum(told) + BIAS + RESIDUAL, layer["logit"])
        assert (layer["bias"], layer["residual"]) == (BIAS, RESIDUAL)
        assert np.isclose(layer["negative"], means[means < 0].sum(), atol=1e-5)
        assert layer["residual_large"] == (0.05 * layer["logit"] < RESIDUAL)


def test_a_point_has_the_contributions_of_its_image(site, world):
    for cls in range(world.classes):
        layer = json.loads((site / f"classes/{cls:05d}.json").read_text())["layers"][0]
        assert np.allclose(layer["points"]["contributions"], contributions(world, cls))
        assert layer["points"]["top"] == contributions(world, cls).argmax(1).tolist()


def test_a_class_without_concepts_says_why(tmp_path):
    run = write_concepts(tmp_path / "concepts", World(2, 3), empty=(1,))
    site = build([run], tmp_path / "site").path
    page = json.loads((site / "classes/00001.json").read_text())
    assert page["layers"][0]["concepts"] == []
    assert page["layers"][0]["reason"].startswith("the model gives too few images")
    assert "too few images" in (site / "classes/00001.html").read_text()
