from itertools import pairwise
from typing import ClassVar

import pytest
import torch
from captum.attr import IntegratedGradients as Captum
from torch import nn

from lit_coiba.attribution import IntegratedGradients
from lit_coiba.core.errors import InputError
from tests._testers import tiny
from tests._testers.analytic import Linear, network
from tests._testers.methods import CopiesTester
from tests._testers.model_state import assert_near


class TestIntegratedGradients(CopiesTester):
    method = IntegratedGradients
    arguments: ClassVar = {"steps": 4}
    evaluations = (6, 4)


@pytest.fixture
def smooth():
    return network(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 5))


def images(count=2):
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def delta(explained):
    return explained.extras["attribution_sum"] - explained.extras["score_difference"]


@pytest.mark.parametrize("rule", ["gausslegendre", "riemann_right", "riemann_left", "riemann_middle"])
def test_it_is_weight_times_input_on_a_linear_model(rule):
    model = Linear()
    explained = IntegratedGradients(rule=rule, steps=4).explain(model, images(), 1)
    torch.testing.assert_close(explained.maps, (model.weight * images()).sum(1), rtol=0, atol=1e-6)
    assert delta(explained).abs().max() < 1e-5


@pytest.mark.parametrize("rule", ["gausslegendre", "riemann_right"])
def test_low_precision_ends_at_the_model(rule):
    """The slopes of a linear model are its weights at all points, so nothing is rounded but weights and images."""
    model, given = Linear().bfloat16(), images().bfloat16()
    explained = IntegratedGradients("black", 7, rule).explain(model, given, 1)
    black = torch.tensor([0.485 / 0.229, 0.456 / 0.224, 0.406 / 0.225]).view(-1, 1, 1)
    expected = (model.weight.detach().float() * (given.float() + black)).sum(1)
    torch.testing.assert_close(explained.maps, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("output", ["logit", "prob"])
def test_the_right_rule_is_the_hand_formula(smooth, output):
    steps, black = 50, torch.tensor([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225], dtype=torch.float64)
    start, end = black.view(-1, 1, 1).expand(2, 3, 8, 8), images()
    total = torch.zeros_like(end)
    for k in range(1, steps + 1):
        point = (start + k / steps * (end - start)).requires_grad_()
        scores = smooth(point) if output == "logit" else smooth(point).softmax(1)
        total += torch.autograd.grad(scores[:, 3].sum(), point)[0]
    method = IntegratedGradients("black", steps, "riemann_right", output)
    assert_near(method.attribute(smooth, end, 3), ((end - start) * total / steps).sum(1), 1e-10)


def test_it_is_complete_in_the_limit(smooth):
    deltas = [
        delta(IntegratedGradients(steps=n, rule="riemann_right").explain(smooth, images())) for n in (8, 16, 32, 64)
    ]
    ratios = torch.stack([(b / a).abs() for a, b in pairwise(deltas)])
    assert (ratios[1:] - 0.5).abs().max() < 0.06
    explained = IntegratedGradients(steps=12).explain(smooth, images(), 1)
    difference = (smooth(images()) - smooth(torch.zeros_like(images())))[:, 1]
    assert delta(explained).abs().max() < 1e-6
    torch.testing.assert_close(explained.maps.sum((1, 2)), difference, rtol=0, atol=1e-6)


@pytest.mark.parametrize("rule", ["gausslegendre", "riemann_right", "riemann_left", "riemann_middle"])
def test_it_is_captum(rule):
    model, given, classes = tiny.resnet().double(), tiny.images(3, (64, 64)).double(), torch.tensor([1, 5, 2])
    for chunk in ("auto", 1, 4):
        found = IntegratedGradients(steps=5, rule=rule, reduce="mean", chunk=chunk).attribute(model, given, classes)
        values, theirs = Captum(model).attribute(
            given, target=classes, n_steps=5, method=rule, return_convergence_delta=True
        )
        assert_near(found, values.mean(1).detach(), 1e-6)  # its points are in single precision
    assert_near(delta(IntegratedGradients(steps=5, rule=rule).explain(model, given, classes)), theirs.detach(), 1e-5)


def test_why_the_trapezoid_of_captum_is_not_offered():
    model = Linear()
    values = Captum(model).attribute(images(), target=1, n_steps=5, method="riemann_trapezoid")
    torch.testing.assert_close(values, 0.8 * (model.weight * images()), rtol=1e-6, atol=1e-6)
    with pytest.raises(InputError, match="rule is 'riemann_trapezoid': choose gausslegendre"):
        IntegratedGradients(rule="riemann_trapezoid")


@pytest.mark.parametrize("baseline", ["zero", "black", "mean", "blur", "noise", "uniform", "opposite"])
def test_every_baseline_has_its_own_complete_map(smooth, baseline):
    found = IntegratedGradients(baseline, steps=30).explain(smooth, images(), 1)
    assert delta(found).abs().max() < 1e-5
    others = [IntegratedGradients(other, steps=30) for other in ("zero", "black") if other != baseline]
    assert not any(torch.allclose(other.attribute(smooth, images(), 1), found.maps, atol=1e-3) for other in others)


@pytest.mark.parametrize("arguments", [{"steps": 1}, {"baseline": "white"}, {"rule": "simpson"}, {"chunk": 0}])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(InputError, match=next(iter(arguments))):
        IntegratedGradients(**arguments)


def test_a_flat_model_has_a_zero_map():
    model = network(nn.Flatten(), nn.Linear(192, 5))
    nn.init.zeros_(model.layers[1].weight)
    explained = IntegratedGradients(steps=2, output="prob").explain(model, 0 * images())
    assert not explained.maps.any()
    assert not delta(explained).any()
