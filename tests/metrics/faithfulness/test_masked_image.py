import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.core.targets import Class, Target
from lit_coiba.functional import probability_drop, probability_gain, probability_increase, resize_map
from lit_coiba.metrics import AverageDrop, AverageGain, AverageIncrease
from lit_coiba.metrics.shared import Shared
from tests._testers.counting import Counting
from tests._testers.metrics import SIZE, FaithfulnessTester
from tests._testers.perturbation import probability

ALL = (AverageDrop, AverageIncrease, AverageGain)


def slow_probabilities(model, images, targets, maps):
    model.eval()
    map = resize_map(maps, SIZE)[0]
    low, high = float(map.min()), float(map.max())
    masked = images[0].clone()
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            masked[:, row, column] *= (float(map[row, column]) - low) / (high - low)
    return probability(model, images[0], int(targets)), probability(model, masked, int(targets))


class MaskedTester(FaithfulnessTester):
    def inputs(self, count):
        """Twice the images, so that some lose and some win."""
        model, images, targets, maps = super().inputs(count)
        return [model, images, targets, maps - 0.5]


class TestAverageDrop(MaskedTester):
    metric = AverageDrop

    def oracle(self, *inputs):
        clean, masked = slow_probabilities(*inputs)
        return 100 * max(0.0, clean - masked) / clean


class TestAverageIncrease(MaskedTester):
    metric = AverageIncrease
    arguments: ClassVar = {"chunk": 2}

    def oracle(self, *inputs):
        clean, masked = slow_probabilities(*inputs)
        return 100.0 if masked > clean else 0.0

    def test_no_targets_are_the_predicted_classes(self):
        model, images, _, maps = self.inputs(8)
        with torch.no_grad():
            predicted = model.eval()(images).argmax(1)
        found = AverageIncrease().score(model, images, None, maps)
        assert torch.equal(found, AverageIncrease().score(model, images, predicted, maps))


class TestAverageGain(MaskedTester):
    metric = AverageGain

    def oracle(self, *inputs):
        clean, masked = slow_probabilities(*inputs)
        return 100 * max(0.0, masked - clean) / (1 - clean)


def test_a1_known_values():
    clean, masked = torch.tensor([0.8, 0.5], dtype=torch.float64), torch.tensor([0.6, 0.75], dtype=torch.float64)
    assert probability_drop(clean, masked).tolist() == pytest.approx([25, 0], abs=1e-6)
    assert probability_increase(clean, masked).tolist() == [0, 100]
    assert probability_gain(1 - clean, 1 - masked).tolist() == pytest.approx([0, 50], abs=1e-6)
    one, nothing = torch.ones(1), torch.zeros(1)
    assert probability_drop(nothing, one).item() == 0 or probability_drop(nothing, nothing).isnan()
    assert probability_gain(nothing, nothing).isnan()
    assert probability_increase(torch.tensor([torch.nan]), one).isnan()


def test_a1_a_map_of_ones_changes_nothing():
    model, images, targets, _ = TestAverageDrop().inputs(3)
    for metric in ALL:
        assert metric(scaling="none").score(model, images, targets, torch.ones(3, *SIZE)).tolist() == [0, 0, 0]
        assert metric().score(model, images, targets, torch.ones(3, *SIZE)).isnan().all()


def test_a1_no_sample_drops_and_rises():
    model, images, targets, maps = TestAverageDrop().inputs(24)
    drop, increase, gain = (metric().score(model, images, targets, maps) for metric in ALL)
    assert ((drop > 0) ^ (increase > 0)).all()
    assert torch.equal(gain > 0, increase > 0)
    assert 0 < (drop > 0).sum() < 24


def test_three_metrics_share_two_forwards():
    model, images, targets, maps = TestAverageDrop().inputs(3)
    counting, shared = Counting(model), Shared()
    for metric in ALL:
        metric().score(counting, images, targets, maps, shared)
    assert counting.images == 2 * 3 == AverageDrop().forwards(SIZE) * 3
    AverageDrop().score(counting, images, targets, -maps, shared)
    assert counting.images == 3 * 3  # another map, the same clean images
    AverageDrop(baseline=0.5).score(counting, images, targets, maps, shared)
    assert counting.images == 4 * 3


def test_the_gain_is_known_where_the_probability_rounds_to_one():
    images = torch.tensor([[[[40.0, 10.0]]]])

    def sure(images):
        return torch.stack([images[:, 0, 0, 0] + 2 * (images[:, 0, 0, 1] == 0), torch.zeros(len(images))], 1)

    found = AverageGain().score(sure, images, 0, torch.tensor([[[1.0, 0.0]]]))
    assert found.item() == pytest.approx(100 * (1 - math.exp(-2)), rel=1e-5)


def test_pixels_are_masked_in_pixels():
    model, images, targets, maps = TestAverageDrop().inputs(2)
    model.eval()
    mean, std = (torch.tensor(values).view(3, 1, 1).double() for values in ([0.5, 0.4, 0.3], [0.2, 0.3, 0.4]))

    class Told(torch.nn.Module):
        preprocessing = type("P", (), {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)})

        def forward(self, images):
            return model(images)

    found = AverageDrop(space="pixels").score(Told().eval(), images, targets, maps)
    shown = resize_map(maps, SIZE)
    low, high = shown.amin((1, 2), keepdim=True), shown.amax((1, 2), keepdim=True)
    masked = ((images * std + mean) * ((shown - low) / (high - low)).unsqueeze(1) - mean) / std
    for row in range(2):
        clean, left = (probability(model, image[row], int(targets[row])) for image in (images, masked))
        assert found[row].item() == pytest.approx(100 * max(0, clean - left) / clean, rel=1e-6)


@dataclass(frozen=True)
class Size(Target):
    """No class: what a regression is asked for."""

    kind: ClassVar[str] = "size of a test"

    def resolve(self, out, labels=None, names=()):
        raise AssertionError("nothing runs")


@pytest.mark.parametrize("metric", ALL)
def test_a_target_without_a_probability_is_refused_before_anything_runs(metric):
    _, images, _, maps = TestAverageDrop().inputs(1)

    def never(images):
        raise AssertionError("nothing runs")

    with pytest.raises(InputError, match=f"{metric.__name__} compares probabilities, and the target's score is logit"):
        metric().score(never, images, Class(score="logit"), maps)
    logits = Class(score="logit").resolve(torch.rand(1, 4))
    with pytest.raises(InputError, match="compares probabilities, and the target's score is logit"):
        metric().score(never, images, logits, maps)
    with pytest.raises(InputError, match=r"compares probabilities, and the target is a.*: give a class"):
        metric().score(never, images, Size(), maps)


def test_a_target_with_its_probability_is_scored():
    model, images, _, maps = TestAverageDrop().inputs(2)
    found = AverageDrop().score(model, images, Class(score="prob"), maps)
    assert torch.equal(found, AverageDrop().score(model, images, Class(), maps))


def test_bad_settings_are_told_in_a_sentence():
    model, images, targets, maps = TestAverageDrop().inputs(1)
    with pytest.raises(InputError, match="scaling is none, and some maps are outside of"):
        AverageDrop(scaling="none").score(model, images, targets, maps)
    with pytest.raises(InputError, match="scaling is 'max': choose minmax, none"):
        AverageDrop(scaling="max")
