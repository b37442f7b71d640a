"""What `python -m benchmarks.metrics_speed` compares has the same scores, and it counts images: two tiny ones here."""

import pytest
import torch
from torch import nn

from benchmarks.metrics_speed import coarse_maps, counted, flipped, predicted, race, torchcam_areas
from lit_coiba.metrics import Deletion, Insertion
from tests._testers.metrics import uniform

STEPS, SIZE = 4, (8, 12)
ZEROS = {"steps": STEPS, "baseline": 0.0}


@pytest.fixture
def scene():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(384, 5)).eval()
    images = uniform(2, 3, *SIZE).float()
    return model, images, predicted(model, images), coarse_maps(images)


def test_no_two_values_of_a_map_are_equal(scene):
    *_, maps = scene
    assert maps.shape == (2, *SIZE)
    assert all(len(map.unique()) == map.numel() for map in maps)


def test_images_are_counted_and_scores_compared(scene, capsys):
    model, images, targets, maps = scene
    metric = Deletion(**ZEROS)

    def one_by_one():
        rows = zip(images.split(1), targets.split(1), maps.split(1))
        return torch.cat([metric.score(model, *row) for row in rows])

    ratios = race("title", model, one_by_one, lambda: metric.score(model, images, targets, maps), 2, 1e-6)
    assert set(ratios) == {"elapsed", "processor", "gap"}
    assert ratios["gap"] <= 1e-6
    assert "images 10 and 10" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="scores differ"):
        race("title", model, lambda: one_by_one() + 1, one_by_one, 1, 0.5)
    with counted(model) as seen:
        model(images)
    model(images)
    assert seen == [2]


def test_quantus_has_the_same_curves(scene):
    pytest.importorskip("quantus", reason="Quantus is not installed")
    model, images, targets, maps = scene
    step = SIZE[0] * SIZE[1] // STEPS
    found = Deletion(**ZEROS).curves(model, images, targets, maps)[:, 1:]
    torch.testing.assert_close(flipped(model, images, targets, maps, step).float(), found)
    found = Insertion(**ZEROS).curves(model, images, targets, maps)[:, :-1]
    torch.testing.assert_close(flipped(model, images, targets, -maps, step).float().flip(1), found)


def test_torchcam_has_the_same_areas(scene):
    pytest.importorskip("torchcam", reason="torch-cam is not installed")
    model, images, targets, maps = scene
    found = [metric(**ZEROS).score(model, images, targets, maps).mean() for metric in (Deletion, Insertion)]
    torch.testing.assert_close(torchcam_areas(model, images, targets, maps, STEPS).float(), torch.stack(found))
