from typing import ClassVar

import pytest
import torch
from pytorch_grad_cam.metrics.road import ROADCombined, ROADMostRelevantFirstAverage
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from lit_coiba.core.errors import InputError
from lit_coiba.functional import keyed_noise, resize_map
from lit_coiba.metrics import ROAD
from tests._testers.counting import Counting
from tests._testers.metrics import SIZE, FaithfulnessTester, network, uniform
from tests._testers.perturbation import probability
from tests.perturbation.test_linear_imputation import slow_imputation


def slow_road(model, images, targets, maps, percentages=range(10, 100, 10), noise=0.01):
    """Image by image; ids are those of a metric that is given none."""
    model.eval()
    map, target, total = resize_map(maps, SIZE)[0].flatten(), int(targets), 0.0
    order = sorted(range(len(map)), key=lambda place: -float(map[place]))
    for number, percentage in enumerate(percentages):
        count = round(percentage / 100 * len(order))
        for sign, places, copy in ((-1, order[:count], number), (1, order[-count:], number + len(percentages))):
            removed = torch.zeros(len(map), dtype=torch.bool)
            removed[places] = True
            removed = removed.view(SIZE)
            drawn = noise * keyed_noise(0, [""], f"road {copy}", images.shape[1:])[0].double()
            filled = torch.where(removed, slow_imputation(images[0], removed) + drawn, images[0])
            total += sign * probability(model, filled, target)
    return total / len(percentages)


class TestROAD(FaithfulnessTester):
    metric = ROAD
    oracle = staticmethod(slow_road)


class TestROADWithoutNoise(FaithfulnessTester):
    metric = ROAD
    arguments: ClassVar = {"percentages": (15.0, 60.0), "noise": 0.0, "chunk": 3}

    def oracle(self, *inputs):
        return slow_road(*inputs, percentages=(15, 60), noise=0)


@pytest.mark.filterwarnings("ignore:__array_wrap__")  # of numpy, about grad-cam
def test_r1_it_equals_grad_cam_without_noise(monkeypatch):
    """Their percentile is of what is kept; on 10 x 10 pixels without ties both remove as many."""
    import pytorch_grad_cam.metrics.road as theirs

    build = theirs.NoisyLinearImputer.__init__
    monkeypatch.setattr(theirs.NoisyLinearImputer, "__init__", lambda self: build(self, noise=0))
    model, images, maps = network((10, 10), torch.float32).eval(), uniform(2, 3, 10, 10).float(), uniform(2, 10, 10)
    maps = maps.float()
    targets = torch.tensor([1, 3])
    asked = [ClassifierOutputTarget(int(target)) for target in targets]
    logit = {"output": "logit", "noise": 0.0}
    combined = ROADCombined()(images, maps.numpy(), asked, model)
    ours = ROAD(**logit).score(model, images, targets, maps)
    torch.testing.assert_close(ours, 2 * torch.as_tensor(combined, dtype=torch.float32), rtol=1e-4, atol=1e-5)
    morf = ROADMostRelevantFirstAverage()(images, maps.numpy(), asked, model)
    ours = ROAD(order="morf", **logit).score(model, images, targets, maps)
    torch.testing.assert_close(ours, -torch.as_tensor(morf, dtype=torch.float32), rtol=1e-4, atol=1e-5)


def test_the_two_orders_add_up_and_swap_for_the_negative_map():
    model, images, targets, maps = TestROAD().inputs(3)
    both, morf, lerf = (
        ROAD(order=order, noise=0.0).score(model, images, targets, maps) for order in ("both", "morf", "lerf")
    )
    torch.testing.assert_close(both, morf + lerf)
    torch.testing.assert_close(ROAD(noise=0.0).score(model, images, targets, -maps), -both)


def test_noise_depends_on_seed_and_id_alone():
    model, images, targets, maps = TestROAD().inputs(2)
    found = ROAD(noise=0.5).score(model, images, targets, maps, ("a", "b"))
    swapped = ROAD(noise=0.5).score(model, images.flip(0), targets.flip(0), maps.flip(0), ("b", "a"))
    torch.testing.assert_close(swapped.flip(0), found)
    assert not torch.allclose(ROAD(noise=0.5, seed=1).score(model, images, targets, maps, ("a", "b")), found)
    assert not torch.allclose(ROAD(noise=0.5).score(model, images, targets, maps, ("c", "b")), found)


@pytest.mark.parametrize(("order", "count"), [("both", 19), ("morf", 10)])
def test_forwards_are_those_that_run(order, count):
    model, images, targets, maps = TestROAD().inputs(2)
    counting, metric = Counting(model), ROAD(order=order)
    metric.score(counting, images, targets, maps)
    assert counting.images == 2 * count == 2 * metric.forwards(SIZE)


def test_constant_maps_remove_in_reading_order():
    model, images, targets, maps = TestROAD().inputs(1)
    level, falling = torch.ones_like(maps), -torch.arange(54.0).view(1, *SIZE)
    found = ROAD(noise=0.0).score(model, images, targets, level)
    torch.testing.assert_close(found, ROAD(noise=0.0).score(model, images, targets, falling))


def test_bad_settings_are_told_in_a_sentence():
    for wrong in ((), (0.0, 10.0), (100.0,)):
        with pytest.raises(InputError, match=r"percentages is .*: give some above 0 and below 100"):
            ROAD(percentages=wrong)
    with pytest.raises(InputError, match=r"noise is -0.1: give 0 or more"):
        ROAD(noise=-0.1)
    with pytest.raises(InputError, match="order is 'best': choose both, morf, lerf"):
        ROAD(order="best")
