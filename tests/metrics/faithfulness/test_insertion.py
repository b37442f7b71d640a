from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn.functional import conv2d
from torchvision.transforms.functional import gaussian_blur

from lit_coiba.functional import resize_map
from lit_coiba.metrics import Insertion
from tests._testers.metrics import SIZE, FaithfulnessTester
from tests._testers.perturbation import slow_curve, trapezoid


def rise_blur(images):
    """The substrate of RISE's released evaluation."""
    impulse = np.zeros((11, 11))
    impulse[5, 5] = 1
    kernel = torch.from_numpy(gaussian_filter(impulse, 5)).expand(3, 1, -1, -1)
    return conv2d(images, kernel, padding=5, groups=3)


def slow_insertion(model, images, targets, maps):
    """Preset rise: a row of pixels a step, from RISE's blur of the normalised image."""
    map = resize_map(maps, SIZE)[0]
    return trapezoid(slow_curve(model, images[0], int(targets), map, SIZE[1], rise_blur(images)[0], inserts=True))


class TestInsertion(FaithfulnessTester):
    metric = Insertion
    oracle = staticmethod(slow_insertion)


class TestCoibaPreset(FaithfulnessTester):
    """Eight rows a step from a 51 x 51 blur of pixels, sigma 50, reflected at the border; softmax of the label."""

    metric = Insertion
    size = (28, 32)
    arguments: ClassVar = {"preset": "coiba", "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}

    def oracle(self, model, images, targets, maps):
        mean, std = (torch.tensor(self.arguments[name], dtype=torch.float64).view(3, 1, 1) for name in ("mean", "std"))
        blurred = (gaussian_blur(images * std + mean, [51, 51], [50.0, 50.0]) - mean) / std
        map = resize_map(maps, self.size)[0]
        scores = slow_curve(model, images[0], int(targets), map, 8 * 32, blurred[0], inserts=True)
        assert len(scores) == 5  # 28 rows in steps of 8
        return (sum(scores) - (scores[0] + scores[-1]) / 2) / (len(scores) - 1)

    def test_scores_are_those_of_the_slow_oracle(self):
        inputs = self.inputs(3)
        expected = [self.oracle(*self.part(inputs, slice(i, i + 1))) for i in range(3)]
        assert self.build().score(*inputs).tolist() == pytest.approx(expected, rel=1e-5)  # torchvision's window is fp32


def test_the_baseline_is_where_the_curve_starts():
    tester = TestInsertion()
    model, images, targets, maps = tester.inputs(2)
    blurred = Insertion().curves(model, images, targets, maps)
    zeros = Insertion(baseline="zero").curves(model, images, targets, maps)
    torch.testing.assert_close(blurred[:, -1], zeros[:, -1])
    assert (blurred[:, 0] - zeros[:, 0]).abs().min() > 1e-4
