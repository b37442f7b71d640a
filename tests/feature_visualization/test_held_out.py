"""Scores over held-out crops, and natural images beside optimized ones, against loops and closed forms."""

import numpy as np
import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.feature_visualization import Channel, TargetScore
from lit_coiba.feature_visualization.crops import crop_boxes
from lit_coiba.feature_visualization.held_out import COUNT, held_out_crops, see, transferred
from lit_coiba.feature_visualization.natural_images import NaturalImages, plausibility
from tests._testers import tiny

PLAIN = Preprocessing((16, 16), mean=(0.0,) * 3, std=(1.0,) * 3)


class Means(nn.Module):
    """Logits: mean red, and minus mean green of the left half."""

    def forward(self, images):
        left = images[..., : images.shape[-1] // 2]
        return torch.stack([images[:, 0].mean((-2, -1)), -left[:, 1].mean((-2, -1))], 1)


@pytest.fixture(scope="module")
def model():
    return Backbone.wrap(Means(), PLAIN, look=False)


def test_crops_are_always_the_same_and_larger_than_those_of_the_optimization():
    """Each pixel of a ramp tells where it is."""
    rows = torch.linspace(0, 1, 400).view(1, 1, 400, 1).expand(1, 1, 400, 400)
    ramp = torch.cat([rows, rows.transpose(2, 3), rows], 1)
    crops = held_out_crops(ramp.expand(2, -1, -1, -1), (50, 50))
    assert crops.shape == (2 * COUNT, 3, 50, 50)
    assert torch.equal(crops[:COUNT], crops[COUNT:])
    assert torch.equal(crops, held_out_crops(ramp.expand(2, -1, -1, -1), (50, 50)))
    sides = (crops[:COUNT, 0, -1, 0] - crops[:COUNT, 0, 0, 0]) * 50 / 49
    assert 0.59 < sides.min() < 0.75
    assert 0.85 < sides.max() < 1.01
    across = crops[:COUNT, 1, 0, -1] - crops[:COUNT, 1, 0, 0]
    assert (across > 0).tolist() == [True, False] * (COUNT // 2)  # every second one is mirrored
    trained = torch.cat([crop_boxes(0, step, 10, 8, 0.15, None) for step in range(10)])
    assert not set(trained[:, 2].tolist()) & set(sides.tolist())


def test_a_score_is_the_mean_over_crops(model):
    images = torch.rand(3, 3, 40, 32, generator=torch.Generator().manual_seed(0))
    found = see(model, images, [TargetScore(0), TargetScore(1), TargetScore(0)])
    for image, cls, score in zip(images, (0, 1, 0), found.scores):
        logits = Means()(held_out_crops(image[None], (16, 16)))[:, cls]
        assert float(score) == pytest.approx(float(logits.double().mean()), abs=1e-5)
    assert found.features is None  # there is no grid


def test_features_are_those_of_the_model():
    model = tiny.resnet()
    images = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    found = see(model, images, [TargetScore(0), Channel("layer2", 3)])
    with torch.no_grad():
        crops = model.normalize(held_out_crops(images, model.preprocessing.size))
        features = model.features(crops).mean((-2, -1)).unflatten(0, (2, COUNT)).mean(1)
    assert torch.allclose(found.features, features, atol=1e-5)


def test_transferability_is_logit_and_probability_under_the_other_model(model):
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    found = transferred(model, images, [1, 0])
    for image, cls, (logit, probability) in zip(images, (1, 0), found):
        logits = Means()(held_out_crops(image[None], (16, 16))).double()
        assert logit == pytest.approx(float(logits[:, cls].mean()), abs=1e-5)
        assert probability == pytest.approx(float(logits.softmax(1)[:, cls].mean()), abs=1e-5)


@pytest.mark.parametrize("size", [1, 4, 30])
def test_the_strongest_images_do_not_depend_on_the_batches(size):
    random = np.random.default_rng(0)
    scores, features = random.normal(size=(30, 4)), random.normal(size=(30, 5))
    scores[7, 1] = scores[21, 1] = 9.0  # equal: the first comes first
    scores[3, 2] = np.nan
    found = NaturalImages(6)
    for start in range(0, 30, size):
        part = slice(start, start + size)
        numbers = torch.arange(30)[part]
        found.add(torch.from_numpy(scores[part]), torch.from_numpy(features[part]), numbers)
    for column in range(4):
        wanted = np.argsort(-np.nan_to_num(scores[:, column], nan=-np.inf), kind="stable")[:6]
        assert found.numbers[column].tolist() == wanted.tolist()
        assert np.allclose(found.features(column), features[wanted])
    assert found.seen == found.scatter.size == 30
    assert np.allclose(found.scatter.covariance(), np.cov(features.T))


def test_fewer_images_than_are_kept():
    found = NaturalImages(6)
    found.add(torch.tensor([[1.0, torch.nan], [3.0, torch.nan]]), torch.eye(2), torch.tensor([4, 8]))
    assert found.numbers[0].tolist() == [8, 4]
    assert found.features(0).tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert found.features(1).shape == (0, 0)


def test_plausibility_is_a_mean_cosine():
    natural = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]])
    assert float(plausibility(torch.tensor([1.0, 0.0]), natural)) == pytest.approx((1 + 0 + 0.5**0.5) / 3)
    assert float(plausibility(-5 * natural[0], natural[:1])) == pytest.approx(-1)
