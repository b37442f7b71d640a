"""The loss of learned ranking, on probabilities that add up over cells; checks of section 6 of attribution_2026.md."""

from itertools import pairwise

import pytest
import torch

from lit_coiba.core.targets.class_target import class_rows
from lit_coiba.losses import soft_ranking
from lit_coiba.losses.soft_ranking import SoftRanking, ranking_loss
from lit_coiba.perturbation.baselines import BaselineImages
from tests._testers import tiny

SIDE, CELLS = 32, 16  # pixels; 4 x 4 cells of 8, whose middle is farther from the edge than the mask is blurred
SHARES = torch.rand(2, CELLS, generator=torch.Generator().manual_seed(0), dtype=torch.float64).softmax(1) ** 4
SHARES = SHARES / SHARES.sum(1, keepdim=True)  # what each cell has of the probability
IMAGES = torch.ones(2, 3, SIDE, SIDE, dtype=torch.float64)
RANKING = SoftRanking(sides=(4, 4), points=CELLS + 1)


def nothing(_):
    return torch.zeros_like(IMAGES)


def added(images, rows):
    middles = images[:, 0, 4::8, 4::8].flatten(1)
    return (middles * SHARES[rows]).sum(1)


def curved(images, rows):
    """Not additive, and no cell has a share alone."""
    return torch.sigmoid(3 * added(images, rows) - 1 + images[:, 1].square().mean((1, 2)))


def maps_of(cells):
    """Every pixel has the value of its cell."""
    return cells.unflatten(1, (4, 4)).repeat_interleave(8, 1).repeat_interleave(8, 2)


@pytest.fixture
def plain(monkeypatch):
    """Neither the price of rough maps nor shifts of the grid."""
    monkeypatch.setattr(soft_ranking, "ROUGH", 0.0)
    monkeypatch.setattr(soft_ranking, "SHIFT", 0.0)


def hard_loss(order, shares):
    """Deletion by a loop, and one less that of the reverse: one less the margin between the two orders."""
    areas = []
    for one in (order, order[::-1]):
        left = [sum(shares[cell] for cell in one[gone:]) for gone in range(len(one) + 1)]
        areas.append(sum(a + b for a, b in pairwise(left)) / 2 / len(one))
    return areas[0] + 1 - areas[1]


def hard_order(values, temperature, gumbel):
    """The permutation, in the graph of the values."""
    return torch.nn.functional.one_hot(values.argsort(descending=True), CELLS) + 0 * values.unsqueeze(1)


@pytest.mark.usefixtures("plain")
def test_r1_the_loss_of_a_hard_order_is_the_area_between_its_curves(monkeypatch):
    monkeypatch.setattr(soft_ranking, "soft_order", hard_order)
    values = torch.randn(2, CELLS, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = RANKING.of(maps_of(values), IMAGES, nothing, added)
    expected = [hard_loss(one.argsort(descending=True).tolist(), own.tolist()) for one, own in zip(values, SHARES)]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-3)


@pytest.mark.usefixtures("plain")
def test_the_true_map_is_better_than_none_and_none_is_better_than_the_reversed_one():
    true, none, wrong = (RANKING.of(maps_of(k * SHARES), IMAGES, nothing, curved) for k in (20, 0, -20))
    torch.testing.assert_close(none, torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-12)
    assert (true < 0.95).all()
    assert (wrong > 1.05).all()


@pytest.mark.parametrize("step", [0, 1])
def test_the_gradient_is_that_of_finite_differences(step):
    ranking = SoftRanking(step=step, sides=(3, 5), points=4)
    values = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    leaf = values.clone().requires_grad_(True)
    ranking.of(leaf, IMAGES, nothing, curved).sum().backward()
    assert leaf.grad.abs().max() > 1e-3
    for place in ((0, 0, 0), (0, 1, 2), (1, 3, 3), (1, 2, 0)):
        ends = []
        for shift in (1e-5, -1e-5):
            moved = values.clone()
            moved[place] += shift
            ends.append(ranking.of(moved, IMAGES, nothing, curved).sum().item())
        assert leaf.grad[place].item() == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-8)


@pytest.mark.usefixtures("plain")
def test_r4_a_free_map_comes_to_nineteen_twentieths_of_the_best_order():
    free = torch.zeros(2, 4, 4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([free], lr=0.1)
    for step in range(60):
        ranking = SoftRanking(step=step, sides=(4, 4), points=CELLS + 1)
        optimizer.zero_grad()
        ranking.of(free, IMAGES, nothing, added).sum().backward()
        optimizer.step()
    for cells, own in zip(free.detach().flatten(1), SHARES):
        reached = 1 - hard_loss(cells.argsort(descending=True).tolist(), own.tolist())
        best = sum(share * (CELLS + 1 - 2 * i) for i, share in enumerate(sorted(own.tolist(), reverse=True), 1)) / CELLS
        assert reached > 0.95 * best


def test_roughness_costs_what_stands_out_from_its_neighborhood():
    peak = torch.zeros(2, SIDE, SIDE, dtype=torch.float64)
    peak[0, 16, 16] = 1000.0
    constant = RANKING.of(torch.zeros_like(peak), IMAGES, nothing, lambda images, _: images.sum((1, 2, 3)) * 0)
    found = RANKING.of(peak, IMAGES, nothing, lambda images, _: images.sum((1, 2, 3)) * 0)
    out = (1000.0 * (1 - 1 / 15**2)) ** 2 / SIDE**2
    torch.testing.assert_close(found - constant, torch.tensor([0.0025 * out, 0.0], dtype=torch.float64))


def test_a_batch_is_its_images_and_another_step_has_other_grids():
    values = torch.randn(6, 4, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    images, rows = torch.ones(6, 3, SIDE, SIDE, dtype=torch.float64), torch.arange(6) % 2

    def of(some, step=0):
        def probability(changed, among):
            return curved_of(changed, rows[some][among])

        ranking = SoftRanking(step=step, sides=(3, 6), points=4)
        return ranking.of(values[some], images[some], lambda _: torch.zeros_like(images[some]), probability)

    def curved_of(changed, which):
        return torch.sigmoid(3 * (changed[:, 0, 4::8, 4::8].flatten(1) * SHARES[which]).sum(1))

    together = of(slice(0, 6))
    for k in (0, 3, 4, 5):
        torch.testing.assert_close(of(slice(k, k + 1))[0], together[k], rtol=1e-10, atol=0)
    assert not torch.equal(of(slice(0, 6), 1), together)


def test_of_a_model_the_probability_of_the_target_counts_and_the_model_has_no_gradient():
    model, images = tiny.vit().requires_grad_(False), tiny.images(2, (32, 32))
    maps = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(6)).requires_grad_(True)
    targets, ranking = class_rows(torch.tensor([1, 4]), tiny.CLASSES), SoftRanking(sides=(4, 4), points=3)

    def probability(changed, rows):
        return model(changed).softmax(1)[torch.arange(len(changed)), torch.tensor([1, 4])[rows]]

    found = ranking_loss(ranking, model, maps, images, targets)
    kinds = []

    def reference(kind):
        kinds.append(kind)
        return BaselineImages(kind, "pixels", blur_size=37, blur_sigma=37.0).of(images, model)

    torch.testing.assert_close(found, ranking.of(maps, images, reference, probability))
    found.sum().backward()
    assert maps.grad.abs().max() > 0
    assert len(kinds) == 1
