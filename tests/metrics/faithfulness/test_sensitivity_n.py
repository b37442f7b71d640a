"""Sensitivity-n: check F2, the curve over n, sharing, what is undefined."""

import statistics
from typing import ClassVar

import pytest
import torch
from scipy.stats import pearsonr

from lit_coiba.core.errors import InputError
from lit_coiba.functional import keyed_orders, resize_map
from lit_coiba.metrics import SensitivityN
from lit_coiba.metrics.shared import Shared
from tests._testers.metrics import SIZE, FaithfulnessTester, network, uniform
from tests._testers.removal import Additive, logit

SIZES = [1, 7, 43]  # of 54 pixels, up to 0.8


def slow_correlations(model, image, target, map):
    places = keyed_orders(0, "", "sensitivity_n", 12, 54).tolist()
    clean, found = logit(model, image, target), []
    for size in SIZES:
        sums, drops = [], []
        for order in places:
            chosen = [pixel for pixel, place in enumerate(order) if place < size]
            changed = image.clone().flatten(1)
            changed[:, chosen] = 0
            sums.append(sum(float(map.flatten()[pixel]) for pixel in chosen))
            drops.append(clean - logit(model, changed.view_as(image), target))
        found.append(pearsonr(sums, drops).statistic)
    return found


class TestSensitivityN(FaithfulnessTester):
    metric = SensitivityN
    arguments: ClassVar = {"levels": 3, "subsets": 12}

    def oracle(self, model, images, targets, maps):
        return statistics.mean(slow_correlations(model, images[0], int(targets), resize_map(maps, SIZE)[0]))

    def test_the_curve_over_n_is_the_mean_over_images(self):
        model, images, targets, maps = self.inputs(4)
        maps[1] = torch.nan
        metric = self.build()
        metric.update(model, images[:3], targets[:3], maps[:3])
        metric.update(model, images[3:], targets[3:], maps[3:])
        expected = [
            slow_correlations(model, images[i], int(targets[i]), resize_map(maps[i : i + 1], SIZE)[0])
            for i in (0, 2, 3)
        ]
        assert metric.mean_curve().tolist() == pytest.approx(torch.tensor(expected).mean(0).tolist(), abs=1e-6)


@pytest.fixture
def linear():
    model = Additive(uniform(2, 3, *SIZE, seed=3) - 0.5)
    images = uniform(2, 3, *SIZE) + 0.5
    return model, images, (images * model.weight[1]).sum(1)


def test_f2_exact_contributions_score_one_for_every_n(linear):
    model, images, maps = linear
    metric = SensitivityN(levels=6, largest=1.0)
    found = metric.correlations(model, images, 1, maps)
    assert metric.sizes(54) == [1, 2, 5, 11, 24, 54]
    assert found[:, :-1].flatten().tolist() == pytest.approx([1] * 10, abs=1e-9)
    assert found[:, -1].isnan().all()  # all sets of 54 pixels are the same: skipped
    assert metric.score(model, images, 1, maps).tolist() == pytest.approx([1, 1], abs=1e-9)


def test_f2_single_pixels_are_correlated_with_their_occlusion(linear):
    model, images, maps = network(), uniform(1, 3, *SIZE), uniform(1, *SIZE, seed=2)
    metric = SensitivityN(levels=1, subsets=500)
    drawn = keyed_orders(0, "", "sensitivity_n", 500, 54).argmin(1)
    occlusion = []
    for pixel in range(54):
        changed = images[0].clone().flatten(1)
        changed[:, pixel] = 0
        occlusion.append(logit(model, images[0], 2) - logit(model, changed.view(3, *SIZE), 2))
    expected = pearsonr(maps.flatten()[drawn], torch.tensor(occlusion, dtype=torch.float64)[drawn]).statistic
    assert drawn.unique().numel() == 54
    assert metric.score(model, images, 2, maps).item() == pytest.approx(expected, rel=1e-9)


def test_draws_are_those_of_the_sample_and_shared_by_all_methods(linear):
    model, images, maps = linear
    metric, shared = SensitivityN(levels=3, subsets=10), Shared()
    rough = maps + uniform(2, *SIZE, seed=9)
    both = [metric.score(model, images, 1, m, ["a", "b"], shared) for m in (rough, -rough)]
    assert torch.equal(both[0], -both[1])
    assert sum(model.seen) == 2 * metric.forwards(SIZE) == 2 * 31
    assert torch.equal(metric.score(model, images[1:], 1, rough[1:], ["b"]), both[0][1:])
    assert not torch.equal(metric.score(model, images[1:], 1, rough[1:], ["c"]), both[0][1:])


def test_orders_that_are_dropped_and_made_again_are_the_same(linear, monkeypatch):
    model, images, maps = linear
    metric, rough = SensitivityN(levels=3, subsets=10), maps + uniform(2, *SIZE, seed=9)
    expected = metric.score(model, images, 1, rough, ["a", "b"])
    monkeypatch.setattr("lit_coiba.metrics.faithfulness.random_subsets.KEPT", 600)
    assert torch.equal(metric.score(model, images, 1, rough, ["a", "b"]), expected)


def test_cells_in_the_place_of_pixels_are_no_more_than_there_are(linear):
    model, images, maps = linear
    metric = SensitivityN(levels=9, grid_size=(2, 3))
    found = metric.correlations(model, images, 1, maps)
    assert metric.sizes(6) == [1, 2, 3, 4]
    assert found[:, :4].flatten().tolist() == pytest.approx([1] * 8, abs=1e-9)
    assert found[:, 4:].isnan().all()
    assert metric.forwards(SIZE) == 1 + 4 * 100


def test_what_does_not_vary_is_undefined(linear):
    model, images, maps = linear
    metric = SensitivityN(levels=3)
    assert metric.score(model, images, 1, torch.full_like(maps, 0.1)).isnan().all()
    still = Additive(torch.zeros(2, 3, *SIZE), bias=0.7)
    assert metric.score(still, images, 1, maps).isnan().all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"levels": 0}, "levels is 0"), ({"subsets": 2}, "subsets is 2"), ({"largest": 1.5}, "largest is 1.5")],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        SensitivityN(**arguments)
