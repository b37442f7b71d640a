import math
from typing import ClassVar

import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from lit_coiba.backbones.tokens import TokenDropping
from lit_coiba.core.errors import InputError
from lit_coiba.core.targets import Class
from lit_coiba.metrics import SDS
from lit_coiba.metrics.shared import Shared
from tests._testers.counting import Counting
from tests._testers.metrics import FaithfulnessTester, network, uniform
from tests._testers.tiny import vit

SIZE = (8, 12)  # not square; 4 divides both


def slow_sds(model, images, targets, maps, grid=4):
    """Cell by cell, of an image whose sides `grid` divides and a map that is spread over its pixels."""
    model.eval()
    rows, columns = images.shape[-2] // grid, images.shape[-1] // grid
    sums, drops = [], []
    with torch.no_grad():
        clean = model(images)[0, int(targets)].item()
        for row in range(grid):
            for column in range(grid):
                cell = (slice(row * rows, (row + 1) * rows), slice(column * columns, (column + 1) * columns))
                left = images.clone()
                left[0, :, cell[0], cell[1]] = 0
                drops.append(clean - model(left)[0, int(targets)].item())
                sums.append(maps[0][cell].sum().item())
    return float(spearmanr(sums, drops).statistic)


class TestSDS(FaithfulnessTester):
    metric = SDS
    oracle = staticmethod(slow_sds)
    size = SIZE

    def inputs(self, count):
        model, images, targets, _ = super().inputs(count)
        return [model, images, targets, uniform(count, *SIZE, seed=1)]


class TestSDSOfFourCells(TestSDS):
    arguments: ClassVar = {"grid_size": 2, "chunk": 3}

    def oracle(self, *inputs):
        return slow_sds(*inputs, grid=2)


class Additive(nn.Module):
    """One class whose logit is the sum of weights times pixels, so that contributions are known."""

    def __init__(self, size=SIZE):
        super().__init__()
        self.weight = nn.Parameter(uniform(3, *size, seed=7) - 0.5)

    def forward(self, images):
        score = (self.weight * images).sum((1, 2, 3))
        return torch.stack([score, -score], 1)


def additive(count=3, size=SIZE):
    model, images = Additive(size), uniform(count, 3, *size, seed=3)
    return model, images, (model.weight * images).sum(1).detach()


@pytest.mark.parametrize("size", [SIZE, (7, 10)])
def test_i1_exact_contributions_score_one(size):
    model, images, maps = additive(size=size)
    targets = torch.zeros(3, dtype=torch.long)
    assert SDS().score(model, images, targets, maps).tolist() == pytest.approx([1, 1, 1], abs=1e-6)
    assert SDS().score(model, images, targets, -maps).tolist() == pytest.approx([-1, -1, -1], abs=1e-6)
    assert SDS().score(model, images, 1 - targets, -maps).tolist() == pytest.approx([1, 1, 1], abs=1e-6)


def test_i1_a_constant_map_has_no_score_and_is_counted():
    for size in (SIZE, (7, 10)):
        model, images, maps = additive(size=size)
        maps[1] = 0.3
        metric = SDS()
        metric.update(model, images, None, maps)
        assert (metric.count.item(), metric.undefined.item()) == (2, 1)


def test_a_model_that_needs_nothing_has_no_score():
    images, maps = uniform(2, 3, *SIZE), uniform(2, *SIZE)
    assert SDS().score(lambda images: images.new_ones(len(images), 2), images, None, maps).isnan().all()


def test_i2_two_methods_share_seventeen_forwards():
    model, images, targets, maps = TestSDS().inputs(3)
    counting, shared, metric = Counting(model), Shared(), SDS()
    first = metric.score(counting, images, targets, maps, shared=shared)
    second = metric.score(counting, images, targets, -maps, shared=shared)
    assert counting.images == 17 * 3 == metric.forwards(SIZE) * 3
    torch.testing.assert_close(second, -first)
    SDS(baseline=0.5).score(counting, images, targets, maps, shared=shared)
    assert counting.images == (17 + 16) * 3  # another baseline has other drops, and the same clean images


def test_a_map_on_the_grid_is_its_cells():
    model, images, maps = additive()
    cells = maps.view(3, 4, 2, 4, 3).sum((2, 4))
    assert SDS().score(model, images, None, cells).tolist() == SDS().score(model, images, None, maps).tolist()


def test_random_maps_have_a_standard_deviation_of_one_over_the_root_of_fifteen():
    model, images, _ = additive(1)
    scores = SDS().score(model, images.expand(400, -1, -1, -1), None, uniform(400, 4, 4, seed=9))
    assert abs(scores.mean()) < 3 * 15**-0.5 / 20
    assert scores.std().item() == pytest.approx(15**-0.5, rel=0.15)


def test_the_logit_is_a_default_that_a_targets_own_score_goes_before():
    model, images, _, maps = TestSDS().inputs(2)
    probable = SDS(output="prob").score(model, images, Class(), maps)
    assert torch.equal(SDS().score(model, images, Class(score="prob"), maps), probable)
    with pytest.raises(InputError, match="score is logit and output is prob"):
        SDS(output="prob").score(model, images, Class(score="logit"), maps)


def test_bad_settings_are_told_in_a_sentence():
    with pytest.raises(InputError, match="grid_size is 1: give a whole number, 2 or more"):
        SDS(grid_size=1)
    model, images, targets, maps = TestSDS().inputs(1)
    for refused in (lambda: SDS(grid_size=9).check(SIZE), lambda: SDS(grid_size=9).score(model, images, None, maps)):
        with pytest.raises(InputError, match=r"grid_size is 9.*8 x 12 pixels: give fewer"):
            refused()
    with pytest.raises(InputError, match="baseline is tokens, and Sequential cannot"):
        SDS(baseline="tokens").score(model, images, targets, maps)
    torch.testing.assert_close(
        SDS(baseline="auto").score(model, images, None, maps), SDS().score(model, images, None, maps)
    )


def test_cells_of_a_vit_can_be_dropped():
    model, images = vit(), uniform(2, 3, 32, 32).float()
    maps = uniform(2, 32, 32, seed=1).float()
    found = SDS(baseline="tokens").score(model, images, None, maps)
    assert torch.equal(SDS(baseline="auto").score(model, images, None, maps), found)
    assert not torch.equal(SDS().score(model, images, None, maps), found)
    dropping = TokenDropping.of(model)
    with torch.no_grad():
        clean = model(images)
        drops = [clean - dropping(images, torch.arange(16).expand(2, -1) != cell) for cell in range(16)]
    for row, target in enumerate(clean.argmax(1).tolist()):
        sums = maps[row].view(4, 8, 4, 8).sum((1, 3)).flatten().tolist()
        expected = spearmanr(sums, [drop[row, target].item() for drop in drops]).statistic
        assert found[row].item() == pytest.approx(expected, abs=1e-5)


def test_logits_that_are_not_finite_have_no_score():
    def broken(images):
        logits = images.flatten(1)[:, :4].clone()
        logits[images.flatten(1)[:, 0] == 0] = math.nan
        return logits

    assert SDS().score(broken, 1 + uniform(2, 3, *SIZE), torch.zeros(2).long(), uniform(2, *SIZE)).isnan().all()


def test_a_network_in_training_mode_is_scored_in_evaluation_mode():
    model = network(SIZE)
    SDS().score(model, uniform(2, 3, *SIZE), None, uniform(2, *SIZE))
    assert model.training
