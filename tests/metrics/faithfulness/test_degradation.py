"""Degradation: check G1, tiles that do not divide the image, and the normalization over the set."""

import itertools
from typing import ClassVar

import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.functional import resize_map
from lit_coiba.metrics import Degradation
from lit_coiba.metrics.shared import Shared
from tests._testers.metrics import SIZE, FaithfulnessTester, network, uniform
from tests._testers.perturbation import probability
from tests._testers.removal import Additive, row


def slow_curves(model, image, target, map, tile):
    """Shares that are gone and probabilities of MoRF and LeRF, one tile and one image at a time."""
    model = model.eval()
    tiles = {}
    for i in range(map.shape[0]):
        for j in range(map.shape[1]):
            tiles.setdefault((i // tile, j // tile), []).append((i, j))
    order = sorted(tiles, key=lambda name: -sum(float(map[place]) for place in tiles[name]))
    curves = []
    for names in (order, order[::-1]):
        changed, gone = image.clone(), 0
        points = [(0.0, probability(model, changed, target))]
        for name in names:
            for i, j in tiles[name]:
                changed[:, i, j] = 0
            gone += len(tiles[name])
            points.append((gone / map.numel(), probability(model, changed, target)))
        curves.append(points)
    return curves


def slow_area(points):
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(points))


def slow_degradation(model, images, targets, maps):
    morf, lerf = slow_curves(model, images[0], int(targets), resize_map(maps, SIZE)[0], 2)
    return slow_area(lerf) - slow_area(morf)


class TestDegradation(FaithfulnessTester):
    metric = Degradation
    arguments: ClassVar = {"tile": 2}  # of which 6 x 9 pixels make a border of half tiles
    oracle = staticmethod(slow_degradation)

    def test_uneven_splits_add_up_to_one(self):
        model, images, targets, maps = self.inputs(7)
        maps[2] = torch.nan
        whole, parts = self.build(), [self.build() for _ in range(3)]
        whole.update(model, images, targets, maps)
        for part, rows in zip(parts, (slice(0, 5), slice(5, 7))):
            part.update(model, images[rows], targets[rows], maps[rows])
        parts[0].merge_state(parts[1])
        parts[0].merge_state(parts[2])
        assert (parts[0].count, parts[0].undefined) == (whole.count, whole.undefined) == (6, 1)
        for found in ("compute", "areas", "mean_curves"):
            torch.testing.assert_close(getattr(parts[0], found)(), getattr(whole, found)(), rtol=1e-13, atol=1e-15)

    def test_forward_gives_the_mean_of_the_batch_and_goes_on_adding(self):
        metric, inputs = self.build(), self.inputs(5)
        alone = self.build()
        alone.update(*self.part(inputs, slice(0, 2)))
        assert metric(*self.part(inputs, slice(0, 2))).item() == pytest.approx(alone.compute().item())
        metric.update(*self.part(inputs, slice(2, 5)))
        whole = self.build()
        whole.update(*inputs)
        assert metric.compute().item() == pytest.approx(whole.compute().item())


def test_the_set_is_normalized_by_its_mean_first_and_last_score():
    tester = TestDegradation()
    model, images, targets, maps = tester.inputs(4)
    metric = Degradation(tile=3)
    metric.update(model, images[:1], targets[:1], maps[:1])
    metric.update(model, images[1:], targets[1:], maps[1:])
    curves = [slow_curves(model, x, int(t), m, 3) for x, t, m in zip(images, targets, resize_map(maps, SIZE))]
    first, last = (sum(c[0][place][1] for c in curves) / 4 for place in (0, -1))
    morf, lerf = (sum(slow_area(c[order]) for c in curves) / 4 for order in (0, 1))
    assert metric.areas().tolist() == pytest.approx([morf, lerf], rel=1e-10)
    assert metric.compute().item() == pytest.approx((lerf - morf) / (first - last), rel=1e-9)
    means = metric.mean_curves()
    assert means[:, 0].tolist() == pytest.approx([1, 1])  # both begin at 1, and end at 0
    assert means[:, -1].tolist() == pytest.approx([0, 0], abs=1e-12)
    half = sum(c[0][3][1] for c in curves) / 4  # 3 of 6 tiles
    assert means[0, 50].item() == pytest.approx((half - last) / (first - last), rel=1e-9)


def test_exact_values_of_additive_contributions():
    model, images, maps = row([0.4, 0.3, 0.2, 0.1])
    metric = Degradation(tile=1, output="logit")
    metric.update(model, images, None, maps)
    assert metric.areas().tolist() == pytest.approx([0.375, 0.625])
    assert metric.compute().item() == pytest.approx(0.25)
    assert metric.score(model, images, None, maps).item() == pytest.approx(0.25)


def test_g1_exact_attribution_is_never_worse_than_the_reverse():
    model, images = Additive(uniform(2, 3, *SIZE, seed=3) - 0.5), uniform(6, 3, *SIZE)
    metric = Degradation(tile=2, output="logit")
    assert (metric.score(model, images, 1, (images * model.weight[1]).sum(1)) > 0).all()


def test_g1_a_negated_map_swaps_the_curves_and_both_share_their_ends():
    model, images, maps = network(), uniform(4, 3, *SIZE), uniform(4, *SIZE, seed=2)
    metric = Degradation(tile=3)
    one, other = (metric.curves(model, images, None, m) for m in (maps, -maps))
    torch.testing.assert_close(one.mif, other.lif, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(one.lif, other.mif, rtol=1e-12, atol=1e-13)
    assert torch.equal(one.mif[:, [0, -1]], one.lif[:, [0, -1]])
    found = metric.score(model, images, None, maps)
    torch.testing.assert_close(metric.score(model, images, None, -maps), -found, rtol=1e-10, atol=1e-13)


def test_g1_random_maps_score_nothing_within_their_error():
    model, maps = network(), uniform(400, *SIZE, seed=5)
    images = uniform(1, 3, *SIZE).expand(400, -1, -1, -1)
    scores = Degradation(tile=3).score(model, images, torch.zeros(400, dtype=torch.long), maps)
    assert abs(scores.mean()) < 3 * scores.std() / 20
    assert scores.std() > 0.001


@pytest.mark.parametrize(("arguments", "steps"), [({"tile": 2}, 15), ({"tile": 2, "steps": 4}, 4)])
def test_no_image_is_run_twice(arguments, steps):
    model, images, maps = Additive(uniform(2, 3, *SIZE)), uniform(3, 3, *SIZE), uniform(3, *SIZE, seed=1)
    metric, shared = Degradation(**arguments), Shared()
    metric.score(model, images, 1, maps, shared=shared)
    assert sum(model.seen) == 3 * metric.forwards(SIZE) == 3 * 2 * steps


def test_forwards_of_the_paper():
    assert [Degradation(tile=tile).forwards((224, 224)) for tile in (None, 8, 14)] == [1568, 1568, 512]


def test_a_model_that_loses_nothing_has_no_normalized_area():
    metric = Degradation(tile=2)
    metric.update(Additive(torch.zeros(2, 3, *SIZE)), uniform(2, 3, *SIZE), 1, uniform(2, *SIZE))
    assert metric.compute().isnan()
    assert metric.areas().tolist() == pytest.approx([0.5, 0.5])  # of two classes


@pytest.mark.parametrize(("arguments", "message"), [({"tile": 0}, "tile is 0"), ({"steps": 0}, "steps is 0")])
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Degradation(**arguments)


def test_a_tile_that_is_larger_than_the_image_is_refused():
    for metric in (Degradation(), Degradation(tile=7)):
        with pytest.raises(InputError, match=r"tile is ., but images have 6 x 9 pixels: give less"):
            metric.score(network(), uniform(1, 3, *SIZE), None, uniform(1, *SIZE))
