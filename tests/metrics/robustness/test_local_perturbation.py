"""Check 10 of prototype_evaluation.md, and each change against its own words."""

from typing import get_args

import pytest
import torch
from torch import nn

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.functional import resize_map
from lit_coiba.metrics import LocalPerturbation
from lit_coiba.perturbation.image_changes import STRENGTHS, Change, changed
from tests._testers.metrics import CLASSES, SIZE, FaithfulnessTester, network, uniform

CHANGES = get_args(Change)
RECIPE = Preprocessing(size=SIZE, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.25))


def inputs(count):
    model = network()
    model.preprocessing = RECIPE
    images = RECIPE.normalize(uniform(count, 3, *SIZE))
    return [model, images, torch.arange(count) % CLASSES, uniform(count, 3, 4, seed=1)]


class TestLocalPerturbation(FaithfulnessTester):
    metric = LocalPerturbation

    def inputs(self, count):
        return inputs(count)

    @torch.no_grad()
    def oracle(self, model, images, targets, maps):
        """One image, brightness: each pixel loses 30% of its value times the map's weight."""
        map = resize_map(maps, SIZE)[0]
        weights = (map - map.min()) / (map.max() - map.min())
        pixels = RECIPE.denormalize(images[0])
        moved = RECIPE.normalize(pixels * (1 - 0.3 * weights))
        model.eval()
        before, after = model(torch.stack([images[0], moved])).softmax(1)[:, int(targets)]
        model.train()
        return float((before - after) / before)


class TestDualContrast(TestLocalPerturbation):
    arguments = {"change": "contrast", "weights": "dual", "strength": 0.2, "output": "logit"}  # noqa: RUF012

    @torch.no_grad()
    def oracle(self, model, images, targets, maps):
        map = resize_map(maps, SIZE)[0]
        weights = 1 - (map - map.min()) / (map.max() - map.min())
        pixels = RECIPE.denormalize(images[0])
        gray = (torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)[:, None, None] * pixels).sum(0).mean()
        moved = RECIPE.normalize(pixels + weights * 0.2 * (gray - pixels))
        model.eval()
        before, after = model(torch.stack([images[0], moved]))[:, int(targets)]
        model.train()
        return float((before - after) / before.abs())


@pytest.mark.parametrize("change", CHANGES)
def test_check_10_focused_and_dual_changes_add_up_to_the_whole_change(change):
    model, images, _, maps = inputs(3)
    images = RECIPE.normalize(uniform(3, 3, 24, 30))
    moved = [
        LocalPerturbation(change, weights=where).moved(model, images, maps) - images for where in ("focused", "dual")
    ]
    pixels = RECIPE.denormalize(images)
    whole = RECIPE.normalize(changed(pixels, change, STRENGTHS[change])) - images
    assert whole.abs().max() > 0.1
    torch.testing.assert_close(moved[0] + moved[1], whole, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("where", ["focused", "dual"])
def test_check_10_no_strength_is_no_drop(change, where):
    model, images, targets, maps = inputs(3)
    metric = LocalPerturbation(change, 0.0, where)
    assert metric.score(model, images, targets, maps).tolist() == [0, 0, 0]


def test_a_map_of_what_counts_drops_more_than_the_rest():
    class Corner(nn.Module):
        preprocessing = RECIPE

        def forward(self, images):
            light = images[:, :, :3, :4].mean((1, 2, 3))
            return torch.stack([light, torch.zeros_like(light)], 1)

    images = RECIPE.normalize(0.5 + 0.5 * uniform(4, 3, *SIZE))
    maps = torch.zeros(4, *SIZE)
    maps[:, :3, :4] = 1
    focused, dual = (LocalPerturbation(weights=where).score(Corner(), images, 0, maps) for where in ("focused", "dual"))
    assert (focused > 0.05).all()
    assert dual.tolist() == [0, 0, 0, 0]


def test_a_constant_map_has_no_score_and_is_counted():
    model, images, targets, maps = inputs(3)
    maps[1] = 0.5
    metric = LocalPerturbation()
    metric.update(model, images, targets, maps)
    assert (metric.count.item(), metric.undefined.item()) == (2, 1)


def test_the_sine_moves_whole_rows_and_the_blur_keeps_flat_pictures():
    pixels = torch.arange(20.0).view(1, 1, 1, 20).expand(1, 3, 20, 20) / 20
    moved = changed(pixels, "sinusoid", 2.0)
    torch.testing.assert_close(moved[:, :, 0], pixels[:, :, 0])  # the sine is 0 there
    shift = (moved - pixels)[0, 0, 1, 5:15] * 20
    torch.testing.assert_close(shift, torch.full((10,), 2 * float(torch.sin(torch.tensor(2 * torch.pi * 5 / 20)))))
    flat = torch.full((1, 3, 30, 40), 0.3)
    torch.testing.assert_close(changed(flat, "blur", 2.0), flat)


def test_what_cannot_be_is_refused():
    for arguments, message in (
        ({"change": "rain"}, "change is"),
        ({"strength": -0.1}, "strength is"),
        ({"strength": 1.5}, "takes at most 1"),
        ({"weights": "both"}, "weights is"),
    ):
        with pytest.raises(InputError, match=message):
            LocalPerturbation(**arguments)
    _, images, targets, maps = inputs(2)
    with pytest.raises(InputError, match="does not say it: give a Backbone"):
        LocalPerturbation().score(network(), images, targets, maps)
