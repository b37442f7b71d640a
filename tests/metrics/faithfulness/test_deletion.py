from typing import ClassVar

import pytest
import torch

from lit_coiba.functional import resize_map
from lit_coiba.metrics import Deletion
from tests._testers.metrics import SIZE, FaithfulnessTester
from tests._testers.perturbation import slow_curve, trapezoid


def slow_deletion(model, images, targets, maps):
    """Preset rise: a row of pixels a step, zeros in normalised space."""
    map = resize_map(maps, SIZE)[0]
    zeros = torch.zeros_like(images[0])
    return trapezoid(slow_curve(model, images[0], int(targets), map, SIZE[1], zeros, inserts=False))


class TestDeletion(FaithfulnessTester):
    metric = Deletion
    oracle = staticmethod(slow_deletion)


class TestPixelByPixel(FaithfulnessTester):
    metric = Deletion
    arguments: ClassVar = {"step": 7, "baseline": 0.4, "ties": "last", "chunk": 3}

    def oracle(self, model, images, targets, maps):
        map, baseline = resize_map(maps, SIZE)[0], torch.full_like(images[0], 0.4)
        return trapezoid(slow_curve(model, images[0], int(targets), map, 7, baseline, inserts=False))


def test_coiba_preset_deletes_to_black_pixels():
    """As the authors' script does it: pixels in [0, 1] are exchanged, and normalised afterwards."""
    tester = TestDeletion()
    model, images, targets, maps = tester.inputs(3)
    mean, std = (
        torch.tensor(values, dtype=torch.float64).view(3, 1, 1) for values in ([0.5, 0.4, 0.3], [0.2, 0.3, 0.4])
    )
    normalised = torch.nn.Sequential(Normalise(mean, std), model)
    expected = []
    for image, target, map in zip(images, targets, resize_map(maps, SIZE)):
        pixels = image * std + mean
        expected.append(
            trapezoid(slow_curve(normalised, pixels, int(target), map, 8 * SIZE[1], torch.zeros_like(pixels), False))
        )
    metric = Deletion(preset="coiba", mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    assert metric.score(model, images, targets, maps).tolist() == pytest.approx(expected, rel=1e-10)


class Normalise(torch.nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, pixels):
        return (pixels - self.mean) / self.std
