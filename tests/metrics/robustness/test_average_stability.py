import torch

from lit_coiba.functional import keyed_noise, uniform
from lit_coiba.metrics import AverageStability
from lit_coiba.metrics.explaining import Explained
from tests._testers.explaining import ExplainingTester, LinearModel, gradient, input_times_gradient
from tests._testers.metrics import uniform as drawn


def slow(model, images, targets, maps, method, ids):
    """One image: the mean distance of 20 draws from [0, 0.1)."""
    explained = Explained(model, images, targets, method)
    clean, found = explained.clean[0], []
    for draw in range(20):
        step = 0.1 * uniform(keyed_noise(0, ids, f"average stability {draw}", images.shape[1:]).double())
        found.append(float((explained.maps(images + step.to(images))[0] - clean).square().sum().sqrt()))
    return sum(found) / 20


class TestAverageStability(ExplainingTester):
    metric = AverageStability
    oracle = staticmethod(slow)


class TestBothSides(ExplainingTester):
    metric = AverageStability
    arguments = {"sides": "both", "relative": True, "draws": 3}  # noqa: RUF012

    def oracle(self, model, images, targets, maps, method, ids):
        explained = Explained(model, images, targets, method)
        clean, found = explained.clean[0], []
        for draw in range(3):
            step = 0.2 * uniform(keyed_noise(0, ids, f"average stability {draw}", images.shape[1:]).double()) - 0.1
            found.append(float((explained.maps(images + step.to(images))[0] - clean).norm() / clean.norm()))
        return sum(found) / 3


def test_a_map_that_does_not_move_scores_zero():
    images, maps = drawn(3, 3, 6, 9), drawn(3, 6, 9)
    assert AverageStability().score(LinearModel(), images, 1, maps, gradient).tolist() == [0, 0, 0]


def test_one_pixel_by_hand():
    """w x of one pixel with w = 2: the mean distance is 2 * 0.1 * the mean draw."""
    model = LinearModel((1, 1), 1)
    model.weight.data.fill_(2.0)
    images = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    draws = torch.stack([uniform(keyed_noise(0, ["a"], f"average stability {i}", (1, 1, 1))) for i in range(20)])
    score = AverageStability().score(model, images, 1, torch.ones(1, 1, 1), input_times_gradient, ["a"])
    torch.testing.assert_close(score, 0.2 * draws.double().mean().view(1), rtol=1e-6, atol=0)


def test_the_range_is_one_sided_unless_both_sides_are_asked_for():
    model, images = LinearModel(), torch.zeros(2, 3, 6, 9).double()
    explained = Explained(model, images, 1, gradient)
    one = AverageStability().moved(explained, ["a", "b"], 0)
    both = AverageStability(sides="both").moved(explained, ["a", "b"], 0)
    assert one.min() >= 0
    assert both.min() < -0.09
    assert 0.09 < min(one.max(), both.max()) <= 0.1
    assert AverageStability(sides="both").settings()["sides"] == "both"
