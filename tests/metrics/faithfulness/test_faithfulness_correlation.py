"""Faithfulness correlation: check F1 for subsets of one size, entries as in Quantus, sharing, what is undefined."""

from typing import ClassVar

import pytest
import torch
from scipy.stats import pearsonr

from lit_coiba.core.errors import InputError
from lit_coiba.functional import keyed_orders, resize_map
from lit_coiba.metrics import FaithfulnessCorrelation
from lit_coiba.metrics.shared import Shared
from tests._testers.metrics import SIZE, FaithfulnessTester, uniform
from tests._testers.removal import Additive, logit


def slow_pixels(model, images, targets, maps):
    places = keyed_orders(0, "", "faithfulness_correlation", 12, 54)
    map, clean, sums, drops = resize_map(maps, SIZE)[0].flatten(), logit(model, images[0], int(targets)), [], []
    for order in places.tolist():
        chosen = [pixel for pixel, place in enumerate(order) if place < 20]
        changed = images[0].clone().flatten(1)
        changed[:, chosen] = 0.3
        sums.append(sum(float(map[pixel]) for pixel in chosen))
        drops.append(clean - logit(model, changed.view_as(images[0]), int(targets)))
    return pearsonr(sums, drops).statistic


def slow_entries(model, images, targets, maps):
    """Quantus: entries of the flattened image, with a map that has its value in every channel."""
    places = keyed_orders(0, "", "faithfulness_correlation", 12, 3 * 54)
    map = resize_map(maps, SIZE)[0].expand(3, -1, -1).flatten()
    clean, sums, drops = logit(model, images[0], int(targets)), [], []
    for order in places.tolist():
        chosen = [entry for entry, place in enumerate(order) if place < 30]
        changed = images[0].clone().flatten()
        changed[chosen] = 0.3
        sums.append(sum(float(map[entry]) for entry in chosen))
        drops.append(clean - logit(model, changed.view_as(images[0]), int(targets)))
    return pearsonr(sums, drops).statistic


class TestPixels(FaithfulnessTester):
    metric = FaithfulnessCorrelation
    arguments: ClassVar = {"removed": 20, "subsets": 12, "baseline": 0.3, "chunk": 5}
    oracle = staticmethod(slow_pixels)


class TestEntries(FaithfulnessTester):
    metric = FaithfulnessCorrelation
    arguments: ClassVar = {"removed": 30, "subsets": 12, "baseline": 0.3, "unit": "entry"}
    oracle = staticmethod(slow_entries)


@pytest.fixture
def linear():
    model = Additive(uniform(2, 3, *SIZE, seed=3) - 0.5)
    images = uniform(2, 3, *SIZE) + 0.5
    return model, images, (images * model.weight[1]).sum(1)


@pytest.mark.parametrize("removed", [1, 7, 53])
def test_f1_exact_contributions_score_one_also_with_a_constant_added(linear, removed):
    model, images, maps = linear
    metric = FaithfulnessCorrelation(removed=removed, subsets=40)
    for same in (maps, 3 * maps - 7):
        assert metric.score(model, images, 1, same).tolist() == pytest.approx([1, 1], abs=1e-9)
    assert metric.score(model, images, 1, -maps).tolist() == pytest.approx([-1, -1], abs=1e-9)


def test_f1_a_constant_changes_nothing_for_any_map(linear):
    model, images, maps = linear
    metric, rough = FaithfulnessCorrelation(removed=9), maps + uniform(2, *SIZE, seed=9)
    torch.testing.assert_close(
        metric.score(model, images, 1, 2 * rough + 5), metric.score(model, images, 1, rough), rtol=1e-9, atol=1e-11
    )


def test_draws_are_those_of_the_sample_and_shared_by_all_methods(linear):
    model, images, maps = linear
    metric, shared = FaithfulnessCorrelation(removed=9, subsets=20), Shared()
    rough = maps + uniform(2, *SIZE, seed=9)
    both = [metric.score(model, images, 1, m, ["a", "b"], shared) for m in (rough, -rough)]
    assert torch.equal(both[0], -both[1])
    assert sum(model.seen) == 2 * metric.forwards(SIZE) == 2 * 21
    assert torch.equal(metric.score(model, images[1:], 1, rough[1:], ["b"]), both[0][1:])
    assert not torch.equal(metric.score(model, images[1:], 1, rough[1:], ["c"]), both[0][1:])


def test_cells_in_the_place_of_pixels(linear):
    model, images, maps = linear
    metric = FaithfulnessCorrelation(removed=4, grid_size=(4, 4))
    assert metric.score(model, images, 1, maps).tolist() == pytest.approx([1, 1], abs=1e-9)


def test_what_does_not_vary_is_undefined(linear):
    model, images, maps = linear
    metric = FaithfulnessCorrelation(removed=9)
    assert metric.score(model, images, 1, torch.full_like(maps, 0.1)).isnan().all()
    still = Additive(torch.zeros(2, 3, *SIZE), bias=0.7)
    assert metric.score(still, images, 1, maps).isnan().all()


def test_the_usual_number_is_that_of_quantus_or_a_quarter(linear):
    metric = FaithfulnessCorrelation()
    assert [metric._size(units) for units in (64 * 64, 224 * 224, 196, 54)] == [224, 224, 49, 13]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"removed": 0}, "removed is 0"),
        ({"subsets": 2}, "subsets is 2"),
        ({"unit": "channel"}, "unit is 'channel'"),
        ({"unit": "entry", "grid_size": 3}, "unit is entry"),
        ({"unit": "entry", "baseline": "tokens"}, "unit is entry"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        FaithfulnessCorrelation(**arguments)


def test_subsets_that_are_the_whole_image_are_refused(linear):
    model, images, maps = linear
    with pytest.raises(InputError, match="removed is 54, but there are 54 pixels"):
        FaithfulnessCorrelation(removed=54).score(model, images, 1, maps)
