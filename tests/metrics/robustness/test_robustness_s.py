import math

import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.core.targets import Resolved
from lit_coiba.functional import resize_map
from lit_coiba.metrics import RobustnessS
from tests._testers.explaining import LinearModel
from tests._testers.metrics import SIZE, FaithfulnessTester, uniform


class Number(Resolved):
    """What is explained is no class."""

    def score(self, out):
        return torch.zeros(len(self))

    fidelity = linear = score


def radius(model, images, maps, share, norm):
    """Of a linear model: the margin over the (dual) norm of the weights that may move."""
    count = max(1, round(share * maps[0].numel()))
    kept = torch.zeros_like(maps).flatten(1).scatter(1, maps.flatten(1).argsort(1, descending=True)[:, :count], 1)
    weights = model.weight[None] * kept.view_as(maps)[:, None]
    margin = (model.weight * images).sum((1, 2, 3)).abs()
    size = weights.flatten(1).norm(dim=1) if norm == "l2" else weights.flatten(1).abs().sum(1)
    return (margin / size).detach()


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_a_linear_model_has_a_closed_form(norm, share):
    model, images, maps = LinearModel(), uniform(5, 3, *SIZE) - 0.5, uniform(5, *SIZE, seed=1)
    found = RobustnessS(share=share, norm=norm, max_radius=40.0, bisections=20).score(model, images, None, maps)
    exact = radius(model, images, maps, share, norm)
    torch.testing.assert_close(found, exact, rtol=1e-3, atol=1e-4)
    assert (found >= exact - 1e-9).all()  # an upper bound


def test_the_pixels_that_matter_need_the_least():
    model, images = LinearModel(), uniform(6, 3, *SIZE) - 0.5
    best = model.weight.detach().square().sum(0).expand(6, -1, -1)
    scores = [RobustnessS(max_radius=500.0).score(model, images, None, map) for map in (best, uniform(6, *SIZE), -best)]
    assert (scores[0] < scores[1]).all()
    assert (scores[1] < scores[2]).all()


class TestRobustnessS(FaithfulnessTester):
    metric = RobustnessS
    arguments = {"max_radius": 20.0, "steps": 5, "bisections": 8, "share": 0.3}  # noqa: RUF012

    def oracle(self, model, images, targets, maps):
        """One image, one radius after the other."""
        model.eval()
        map = resize_map(maps, SIZE).flatten()
        movable = torch.zeros_like(map).scatter(0, map.argsort(descending=True)[: round(0.3 * map.numel())], 1)
        clean = model(images)[0].argmax()

        def overturned(limit):
            change = torch.zeros_like(images)
            for _ in range(6):
                given = (images + change).requires_grad_(True)
                logits = model(given)[0]
                if logits.argmax() != clean:
                    return True
                others = torch.cat([logits[:clean], logits[clean + 1 :]])
                slope = torch.autograd.grad(others.max() - logits[clean], given)[0] * movable.view(SIZE)
                change = change + 2.5 * limit / 5 * slope / slope.norm()
                change = change * min(1.0, limit / float(change.detach().norm()))
            return False

        low, high = 0.0, 20.0
        if not overturned(high):
            return math.nan
        for _ in range(8):
            middle = (low + high) / 2
            low, high = (low, middle) if overturned(middle) else (middle, high)
        model.train()
        return high

    def test_no_targets_are_the_predicted_classes(self):
        """The prediction is attacked, whatever class a map explains."""
        model, images, targets, maps = self.inputs(4)
        torch.testing.assert_close(
            self.build().score(model, images, targets, maps), self.build().score(model, images, None, maps)
        )


def test_where_no_radius_does_there_is_no_score():
    model, images, maps = LinearModel(), uniform(2, 3, *SIZE) - 0.5, uniform(2, *SIZE)
    images[1] *= 1e-3  # close to the border
    metric = RobustnessS(max_radius=0.05)
    metric.update(model, images, None, maps)
    assert (metric.count.item(), metric.undefined.item()) == (1, 1)


def test_what_is_no_class_is_refused_before_anything_is_attacked():
    model, images, maps = LinearModel(), uniform(2, 3, *SIZE), uniform(2, *SIZE)
    number = Number(*(torch.arange(2),) * 3, ("", ""), torch.zeros(2))
    with pytest.raises(InputError, match="RobustnessS explains classes"):
        RobustnessS().score(model, images, number, maps)
    for arguments, message in (({"share": 1.5}, "share is"), ({"norm": "l1"}, "norm is"), ({"steps": 0}, "steps is")):
        with pytest.raises(InputError, match=message):
            RobustnessS(**arguments)


def test_the_cost_is_told():
    metric, runs = RobustnessS(max_radius=20.0), []
    model = LinearModel()
    model.register_forward_hook(lambda *_: runs.append(1))
    metric.score(model, uniform(1, 3, *SIZE) - 0.5, None, uniform(1, *SIZE))
    assert len(runs) == metric.forwards(SIZE) == 144
