import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from torch.nn.functional import cross_entropy

from lit_coiba.core.errors import InputError
from lit_coiba.heads import InfoDisentHead, LinearHead
from tests._testers.heads import CHANNELS, CLASSES, HeadTester, features, learnable

MAPS = {"relu": lambda w: max(w, 0.0), "softplus": lambda w: math.log1p(math.exp(w)), "abs": abs, "exp": math.exp}
SIDES = {
    "average": lambda v: sum(v) / len(v),
    "top_k": lambda v: sum(sorted(v)[-5:]) / 5,
    "log_sum_exp": lambda v: math.log(sum(math.exp(x) for x in v) / len(v)),
}


class TestInfoDisentHead(HeadTester):
    """Trained with draws, evaluated with the maximum."""

    head = InfoDisentHead

    def oracle(self, head, values, target):
        free = head.rotate.generator.detach().numpy() if head.rotation else np.zeros((CHANNELS, CHANNELS))
        skew, identity = free - free.T, np.eye(CHANNELS)
        matrix = np.linalg.inv(identity - skew / 2) @ (identity + skew / 2)
        if head.parametrization == "exponential":
            matrix = expm(skew)
        rotated = np.stack([matrix @ pixel for pixel in values.flatten(1).T.numpy()], 1)  # (D, positions)
        pool = SIDES.get(head.pooling, max)
        contributions, map = [], np.zeros(rotated.shape[1])
        for free_weight, channel in zip(head.weight[target].tolist(), rotated.tolist()):
            weight = MAPS.get(head.positive, float)(free_weight)
            total = 0.0
            for sign in (1, -1):
                side = [max(sign * v, 0.0) for v in channel]
                amount = sign * weight * pool(side)
                total += amount
                if head.evidence == "peak" or (head.evidence is None and head.pooling in ("hard", "gumbel")):
                    map[side.index(max(side))] += amount
                elif sum(side):
                    map += [amount * v / sum(side) for v in side]
            contributions.append(total)
        return contributions, torch.from_numpy(map).view(values.shape[1:])

    def check_constraints(self, head):
        assert (head.class_weights >= 0).all() or head.positive == "none"
        assert not head.rotation or head.rotate.orthogonality_error() < 1e-4


class TestHardSpreadExponentialBias(TestInfoDisentHead):
    arguments: ClassVar = {"pooling": "hard", "evidence": "spread", "parametrization": "exponential", "bias": True}


class TestWithoutRotation(TestInfoDisentHead):
    arguments: ClassVar = {"rotation": False, "positive": "none"}


class TestAverage(TestInfoDisentHead):
    arguments: ClassVar = {"pooling": "average", "positive": "abs"}


class TestTopK(TestInfoDisentHead):
    arguments: ClassVar = {"pooling": "top_k", "positive": "softplus"}


class TestLogSumExp(TestInfoDisentHead):
    arguments: ClassVar = {"pooling": "log_sum_exp", "positive": "exp"}


class TestRelu(TestInfoDisentHead):
    arguments: ClassVar = {"pooling": "hard", "positive": "relu", "hard": False}


def built(**arguments):
    return TestInfoDisentHead().build(**arguments)


def test_evaluation_pools_hard_whatever_the_training():
    values = features(5)
    assert torch.equal(built(pooling="gumbel")(values), built(pooling="hard")(values))
    assert torch.equal(built(pooling="hard").train()(values), built(pooling="hard")(values))


@pytest.mark.parametrize("hard", [True, False])
def test_training_draws_from_the_global_generator(hard):
    head, values = built(hard=hard).train(), features(5)
    torch.manual_seed(0)
    first = head(values)
    assert not torch.equal(head(values), first)
    torch.manual_seed(0)
    assert torch.equal(head(values), first)


@pytest.mark.parametrize("hard", [True, False])
def test_a_cold_training_is_the_evaluation(hard):
    head, values = built(tau_end=1e-4, hard=hard), features(5)
    head.anneal(1.0)
    torch.testing.assert_close(head.train()(values), head.eval()(values), rtol=1e-10, atol=1e-10)


def test_the_temperature_falls_by_equal_factors():
    head = InfoDisentHead(CHANNELS, CLASSES, tau=1.6, tau_end=0.1)
    temperatures = [head.temperature]
    for progress in (0.0, 0.25, 0.5, 0.75, 1.0, 1.5):
        head.anneal(progress)
        temperatures.append(head.temperature)
    assert temperatures == pytest.approx([1.6, 1.6, 0.8, 0.4, 0.2, 0.1, 0.1])


@pytest.mark.parametrize("positive", ["clamp", "relu", "softplus", "abs", "exp", "none"])
def test_it_starts_small_positive_and_different_for_each_class(positive):
    weights = InfoDisentHead(400, 10, positive=positive).class_weights
    assert weights.min() >= 0
    assert weights.max() <= 0.5 / 20 + 1e-4
    assert weights.mean().item() == pytest.approx(0.25 / 20, rel=0.05)
    assert weights.std(0).min() > 1e-3


@pytest.mark.parametrize("positive", ["clamp", "relu", "softplus", "abs", "exp", "none"])
def test_it_can_start_from_a_linear_classifier(positive):
    head, linear = InfoDisentHead(CHANNELS, CLASSES, positive=positive, bias=True), LinearHead(CHANNELS, CLASSES)
    weight, bias = linear.classifier.weight.detach(), linear.classifier.bias.detach()
    assert weight.min() < -0.1
    head.init_from_linear(weight, bias)
    expected = weight if positive == "none" else weight.clamp(min=0)
    torch.testing.assert_close(head.class_weights, expected, rtol=1e-5, atol=1.1e-4)
    assert torch.equal(head.bias_of(torch.arange(CLASSES)), bias)
    head(features(2, torch.float32)).sum().backward()
    if positive != "clamp":  # no entry is held at 0 for ever
        assert (head.weight.grad != 0).all()


def test_weights_that_do_not_fit_are_refused():
    head = InfoDisentHead(CHANNELS, CLASSES)
    with pytest.raises(InputError, match=r"weights have shape \(4, 5\): this head takes \(4, 6\)"):
        head.init_from_linear(torch.zeros(4, 5))
    with pytest.raises(InputError, match="no bias to start from: build it with bias=True"):
        head.init_from_linear(torch.zeros(4, 6), torch.zeros(4))


def test_constrain_clamps_where_that_is_the_way():
    for positive, least in (("clamp", 0.0), ("none", -1.0), ("abs", -1.0)):
        head = InfoDisentHead(CHANNELS, CLASSES, positive=positive)
        torch.nn.init.constant_(head.weight, -1.0)
        head.constrain()
        assert head.weight.min() == least


def test_gradient_reaches_the_rotation_at_its_start():
    torch.manual_seed(0)
    head = InfoDisentHead(CHANNELS, CLASSES)
    values, classes = learnable()
    cross_entropy(head(values), classes).backward()
    off_diagonal = ~torch.eye(CHANNELS, dtype=torch.bool)
    assert (head.rotate.generator.grad[off_diagonal] != 0).all()


def test_average_pooling_with_turned_weights_is_the_linear_classifier():
    head, linear = built(pooling="average", positive="none", bias=True), LinearHead(CHANNELS, CLASSES).double()
    weight = linear.classifier.weight.detach()
    head.init_from_linear(weight @ head.rotate.inverse().detach(), linear.classifier.bias.detach())
    values = features(5)
    torch.testing.assert_close(head(values), linear(values), rtol=1e-10, atol=1e-12)
    for found, expected in zip(head.explain(values, 1).maps, linear.explain(values, 1).maps):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def test_a_map_of_peaks_has_at_most_two_positions_per_channel():
    head = InfoDisentHead(CHANNELS, CLASSES, evidence="peak", rotation=False)
    values = torch.zeros(1, CHANNELS, 4, 4)
    values[0, 0, 1, 2], values[0, 0, 3, 3], values[0, 0, 0, 0], values[0, 1, 1, 2] = 3.0, 2.0, -1.0, 5.0
    weights = head.class_weights[1]
    expected = torch.zeros(4, 4)
    expected[1, 2] = 3 * weights[0] + 5 * weights[1]
    expected[0, 0] = -weights[0]
    torch.testing.assert_close(head.explain(values, 1).maps[0], expected)


def test_a_unit_of_evidence_against_shows_where_it_is_negative():
    head = InfoDisentHead(2, 1, rotation=False)
    values = torch.tensor([[[[3.0, -1.0, 2.0]], [[1.0, -4.0, -2.0]]]])
    explanation = head.explain(values, 0)
    assert explanation.contributions.sign().tolist() == [[1, -1]]
    maps = dict(zip(explanation.units[0].tolist(), explanation.unit_maps[0].tolist()))
    assert maps == {0: [[3, 0, 2]], 1: [[0, 4, 2]]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pooling": "max"}, "pooling is 'max': choose gumbel, hard, average, top_k, log_sum_exp"),
        ({"positive": "square"}, "positive is 'square': choose clamp, relu, softplus, abs, exp, none"),
        ({"parametrization": "qr"}, "parametrization is 'qr': choose"),
        ({"evidence": "dense"}, "evidence is 'dense': give peak or spread"),
        ({"tau": 0.0}, r"tau is 0.0 and tau_end 0.1: give positive temperatures"),
        ({"tau_end": -1.0}, "tau_end -1.0: give positive temperatures"),
        ({"top_k": 0}, "top_k is 0: give 1 or more"),
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        InfoDisentHead(CHANNELS, CLASSES, **arguments)
