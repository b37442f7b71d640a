import math
from typing import ClassVar

import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d

from lit_coiba.core.errors import InputError
from lit_coiba.core.targets import Class, resolve, unscored_rows
from lit_coiba.functional import harmonic_mean, resize_map
from lit_coiba.metrics import ARCC, ROAD, ScoredBatch
from lit_coiba.metrics.complexity.arcc import _classes
from tests._testers.metrics import CLASSES, SIZE, MetricTester, network, uniform
from tests._testers.perturbation import probability
from tests.perturbation.test_linear_imputation import slow_imputation


def shade(model, images, targets):
    """A method: the color of 3 x 4 cells, of the class."""
    weights = torch.tensor([1.0, -2.0, 3.0], dtype=images.dtype).view(3, 1, 1)
    index = targets.index if hasattr(targets, "index") and not isinstance(targets, torch.Tensor) else targets
    maps = adaptive_avg_pool2d((weights * images).sum(1, keepdim=True), (3, 4))[:, 0]
    return maps.sin() + 0.1 * index.view(-1, 1, 1) * maps


def by_definition(model, images, targets, maps, method):
    model.eval()
    map, target = maps[0], int(targets)
    scaled = (map - map.min()) / (map.max() - map.min())
    masked = method(model, images * resize_map(scaled[None], SIZE), targets)[0]
    pairs = torch.stack([masked.flatten(), map.flatten()])
    coherence = (float(torch.corrcoef(pairs)[0, 1]) + 1) / 2
    order = sorted(range(SIZE[0] * SIZE[1]), key=lambda k: -float(resize_map(maps, SIZE)[0].flatten()[k]))
    total = 0.0
    for share in (0.2, 0.4, 0.6, 0.8):
        count = round(share * len(order))
        for sign, places in ((-1, order[:count]), (1, order[-count:])):
            removed = torch.zeros(len(order), dtype=torch.bool)
            removed[places] = True
            removed = removed.view(SIZE)
            filled = torch.where(removed, slow_imputation(images[0], removed), images[0])
            total += sign * probability(model, filled, target) / 4
    parts = [coherence, 1 - float(scaled.mean()), min(max(total, 0), 1)]
    return 3 / sum(1 / part for part in parts) if all(parts) else 0.0


class TestARCC(MetricTester):
    metric = ARCC
    arguments: ClassVar = {"noise": 0.0}
    oracle = staticmethod(by_definition)

    def inputs(self, count):
        images = 2 * uniform(count, 3, *SIZE) - 1
        return [network(), images, torch.arange(count) % CLASSES, uniform(count, 3, 4, seed=1), shade]

    def test_uneven_splits_add_up_to_one(self):
        inputs = self.inputs(7)
        inputs[3][2] = math.nan
        whole, first, second = (self.build() for _ in range(3))
        whole.update(*inputs)
        first.update(*self.part(inputs, slice(0, 5)))
        second.update(*self.part(inputs, slice(5, 7)))
        first.merge_state(second)
        assert (first.count, first.undefined) == (whole.count, whole.undefined) == (6, 1)
        assert first.compute().item() == pytest.approx(whole.compute().item(), rel=1e-14)


def test_m2_the_harmonic_mean_of_three_parts_in_any_order():
    parts = torch.tensor([[0.9, 0.8, 0.6], [0.6, 0.9, 0.8], [0.8, 0.6, 0.9]], dtype=torch.float64)
    assert harmonic_mean(parts).tolist() == pytest.approx([0.7448] * 3, abs=1e-4)  # ARCC(.9, .2, .6)
    assert harmonic_mean(torch.tensor([[0.9, 0.0, 0.6]])).item() == 0


def test_its_parts_are_told_and_road_is_that_of_the_metric():
    inputs = TestARCC().inputs(5)
    metric = ARCC()
    coherence, simplicity, road = metric.parts(*inputs)
    assert torch.equal(metric.score(*inputs), harmonic_mean(torch.stack([coherence, simplicity, road], 1)))
    own = ROAD(percentages=(20.0, 40.0, 60.0, 80.0)).score(*inputs[:4])
    torch.testing.assert_close(road, own.clamp(0, 1).to(road))
    assert (road > 0).any()
    scale = inputs[3].amax((1, 2)) - inputs[3].amin((1, 2))
    torch.testing.assert_close(simplicity, 1 - (inputs[3].mean((1, 2)) - inputs[3].amin((1, 2))) / scale)
    assert ((coherence >= 0) & (coherence <= 1)).all()


def test_the_scale_of_a_map_makes_no_difference():
    model, images, targets, maps, method = TestARCC().inputs(3)
    once = ARCC(noise=0.0).score(model, images, targets, maps, method)
    torch.testing.assert_close(ARCC(noise=0.0).score(model, images, targets, 3 * maps + 7, method), once)


def test_a_constant_map_and_one_of_the_masked_image_have_no_score():
    model, images, targets, maps, method = TestARCC().inputs(4)
    maps[1], maps[2, 0, 0] = 0.3, math.inf
    metric = ARCC(noise=0.0)
    metric.update(model, images, targets, maps, method)
    assert metric.score(model, images, targets, maps, method).isnan().tolist() == [False, True, True, False]
    assert (metric.count.item(), metric.undefined.item()) == (2, 2)
    flat = metric.score(model, images, targets, maps, lambda model, images, targets: torch.ones(len(images), 3, 4))
    assert flat.isnan().all()


def test_noise_depends_on_seed_and_id_only():
    model, images, targets, maps, method = TestARCC().inputs(4)
    ids = ["a", "b", "c", "d"]
    whole = ARCC(noise=0.1).score(model, images, targets, maps, method, ids)
    alone = ARCC(noise=0.1).score(model, images[2:3], targets[2:3], maps[2:3], method, ids[2:3])
    torch.testing.assert_close(whole[2:3], alone)
    assert not torch.equal(ARCC(noise=0.1, seed=1).score(model, images, targets, maps, method, ids), whole)


def test_no_targets_are_the_predicted_classes_and_the_method_explains_them():
    model, images, _, maps, method = TestARCC().inputs(4)
    with torch.no_grad():
        predicted = model.eval()(images).argmax(1)
    metric = ARCC(noise=0.0)
    found = metric.score(model, images, None, maps, method)
    assert torch.equal(found, metric.score(model, images, predicted, maps, method))


def test_it_is_scored_from_a_batch_that_knows_its_method():
    model, images, targets, maps, method = TestARCC().inputs(3)
    rows = resolve(targets, images, CLASSES, lambda: model(images))
    batch = ScoredBatch(model, images, rows, maps, ("a", "b", "c"), method=method)
    assert not batch.lacking(ARCC.needs)
    assert torch.equal(ARCC().score_batch(batch), ARCC().score(model, images, targets, maps, method, ["a", "b", "c"]))
    assert ScoredBatch(model, images, rows, maps, ("a", "b", "c")).lacking(ARCC.needs) == ["method"]


def test_a_target_without_a_probability_is_refused():
    model, images, _, maps, method = TestARCC().inputs(2)
    with pytest.raises(InputError, match="the target's score is logit and output is prob"):
        ARCC().score(model, images, Class("predicted", score="logit"), maps, method)
    with pytest.raises(InputError, match=r"ARCC needs a probability, and the target is .* explain a class"):
        _classes(unscored_rows(2, images.device))
