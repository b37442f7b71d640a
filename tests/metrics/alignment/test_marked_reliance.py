from typing import ClassVar

import pytest
import torch
from torch import nn

from lit_coiba.core.errors import InputError
from lit_coiba.metrics import Insertion, MarkedReliance
from lit_coiba.metrics.shared import Shared
from tests._testers.alignment import smoothed
from tests._testers.counting import Counting
from tests._testers.metrics import CLASSES, SIZE, MetricTester, network, uniform


def dropped(model, image, target, people, part="marked", measured="logit", baseline=0.0):
    """Occlusion by hand: one image, pixel by pixel."""
    blurred = smoothed(people[0].numpy())
    inside = torch.from_numpy(blurred >= 0.5 * blurred.max())
    gone = inside if part == "marked" else ~inside
    occluded = image.clone()
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            if gone[row, column]:
                occluded[0, :, row, column] = baseline
    with torch.no_grad():
        before, after = model.eval()(image)[0], model.eval()(occluded)[0]
    if measured == "logit":
        return float(before[target] - after[target])
    return float(before.argmax() == target) - float(after.argmax() == target)


class RelianceTester(MetricTester):
    metric = MarkedReliance

    def inputs(self, count):
        images = 2 * uniform(count, 3, *SIZE) - 1
        return [network(), images, torch.arange(count) % CLASSES, uniform(count, *SIZE, seed=1) ** 4]

    def oracle(self, *inputs):
        return dropped(*inputs, **self.arguments)


class TestMarked(RelianceTester):
    pass


class TestRest(RelianceTester):
    arguments: ClassVar = {"part": "rest", "baseline": 0.3}


class TestAccuracy(RelianceTester):
    arguments: ClassVar = {"measured": "accuracy"}


class TestAccuracyOfTheRest(RelianceTester):
    arguments: ClassVar = {"part": "rest", "measured": "accuracy"}


class LeftAndRight(nn.Module):
    """The first class is the mean of the left or of the right half; the second class is constant."""

    def __init__(self, cue):
        super().__init__()
        self.cue = cue

    def forward(self, images):
        half = images.shape[-1] // 2
        side = images[..., :half] if self.cue == "left" else images[..., half:]
        return torch.stack([side.mean((1, 2, 3)), torch.full((len(images),), 0.5)], 1)


def test_a_model_relies_on_what_people_marked_or_on_the_rest():
    images, people = torch.ones(2, 3, 32, 32), torch.zeros(2, 32, 32)
    people[:, :, :16] = 1
    labels = torch.zeros(2, dtype=torch.long)
    for cue, (marked, rest) in {"left": (1, 0), "right": (0, 1)}.items():
        for measured in ("logit", "accuracy"):
            settings = {"measured": measured, "smooth": False}
            found = MarkedReliance("marked", **settings).score(LeftAndRight(cue), images, labels, people)
            others = MarkedReliance("rest", **settings).score(LeftAndRight(cue), images, labels, people)
            assert found.tolist() == [marked, marked]
            assert others.tolist() == [rest, rest]


def test_people_who_say_nothing_leave_it_undefined():
    model, images, targets, people = TestMarked().inputs(4)
    people[0], people[1], people[2] = 0, 0.7, torch.nan
    assert MarkedReliance().score(model, images, targets, people).isnan().tolist() == [True, True, True, False]


def test_both_measures_and_all_maps_share_one_forward_for_each_part():
    model, images, targets, people = TestMarked().inputs(3)
    counted, shared = Counting(model.eval()), Shared()
    for _ in range(2):  # two rows of a table
        for part in ("marked", "rest"):
            for measured in ("logit", "accuracy"):
                MarkedReliance(part, measured).score(counted, images, targets, people, shared)
    assert counted.images == 3 * (1 + 2)  # as they are, and without each part
    assert Insertion().forwards(SIZE) > MarkedReliance().forwards(SIZE) == 1


def test_people_s_maps_of_another_size_are_refused():
    model, images, targets, _ = TestMarked().inputs(2)
    with pytest.raises(InputError, match=r"importances are of shape \(2, 3, 4\): give one map"):
        MarkedReliance().score(model, images, targets, uniform(2, 3, 4))
    with pytest.raises(InputError, match="part is 'left'"):
        MarkedReliance("left")
    with pytest.raises(InputError, match=r"share is 1\.5"):
        MarkedReliance(share=1.5)
