"""Check MR1 of metrics.md."""

from typing import ClassVar

import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from lit_coiba.attribution import IBA, EdgeDetector, GradCAM
from lit_coiba.core.errors import InputError
from lit_coiba.metrics import ModelRandomization
from lit_coiba.metrics.explaining import Explained
from lit_coiba.metrics.randomization import alike as measures
from lit_coiba.metrics.randomization.random_layers import RandomLayers
from tests._testers import tiny
from tests._testers.explaining import ExplainingTester, darkness, gradient
from tests._testers.metrics import uniform


def slow(model, images, targets, maps, method, ids):
    """One image: scipy's rank correlation of absolute values, the mean over all depths."""
    explained = Explained(model, images, targets, method)
    clean = explained.clean[0].abs().flatten()
    found = [spearmanr(clean, explained.maps(images, one)[0].abs().flatten()).statistic for one in RandomLayers(model)]
    return sum(found) / len(found)


class TestModelRandomization(ExplainingTester):
    metric = ModelRandomization
    oracle = staticmethod(slow)


class TestIndependentSSIM(ExplainingTester):
    metric = ModelRandomization
    arguments: ClassVar = {"order": "independent", "similarity": "ssim", "layers": 2}

    def oracle(self, model, images, targets, maps, method, ids):
        explained = Explained(model, images, targets, method)
        random = RandomLayers(model, 2, "independent")
        found = [measures.alike(explained.clean, explained.maps(images, one), "ssim", (6, 9)) for one in random]
        return float(sum(found) / 2)


def test_mr1_a_map_that_no_model_decides_is_the_same_at_all_depths():
    backbone = tiny.resnet()
    images = torch.randn(2, 3, 64, 64)
    for method in (EdgeDetector().attribute, darkness):
        explained = Explained(backbone, images, None, method)
        for similarity in ("spearman", "ssim", "hog"):
            metric = ModelRandomization(similarity=similarity, layers=3)
            found = metric.similarities(explained)
            torch.testing.assert_close(found, torch.ones(2, 3).double(), rtol=0, atol=1e-6)
    assert metric.depths[-1] == "model.conv1"


def test_mr1_a_gradient_forgets_with_the_linear_head():
    """Logits W x of 400 pixels: with another W the gradient is another row, and its ranks are independent."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(1200, 6)).double()
    images = uniform(6, 3, 20, 20) - 0.5
    metric = ModelRandomization()
    found = metric.score(model, images, torch.arange(6), gradient(model, images, _rows(model, images)), gradient)
    assert found.abs().max() < 4 / 400**0.5
    assert abs(float(found.mean())) < 0.1


def _rows(model, images):
    return Explained(model, images, torch.arange(len(images)), gradient).rows


def test_mr1_the_entry_without_randomization_is_apart():
    model, images, targets, _, method, ids = TestModelRandomization().inputs(4)
    own = Explained(model, images, targets, method).clean
    metric = ModelRandomization()
    metric.update(model, images, targets, own, method, ids)
    assert metric.unrandomized.item() == pytest.approx(1)
    assert metric.compute().item() == pytest.approx(metric.score(model, images, targets, own, method).mean().item())
    assert metric.compute() < 0.9
    metric.reset()
    metric.update(model, images, targets, uniform(4, 6, 9, seed=9), method, ids)  # maps of something else
    assert metric.unrandomized < 0.5


def test_a_depth_where_the_map_is_constant_leaves_no_score():
    def dead(model, images, targets):
        found = gradient(model, images, targets)
        trained = bool((model[-1].weight > 100).any())
        return found if trained else torch.zeros_like(found)

    model, images, targets, maps, _, ids = TestModelRandomization().inputs(3)
    with torch.no_grad():
        model[-1].weight[0, 0] = 101
    metric = ModelRandomization()
    metric.update(model, images, targets, maps, dead, ids)
    assert (metric.count.item(), metric.undefined.item()) == (0, 3)


def test_maps_of_layers_are_compared_at_one_layer():
    backbone = tiny.resnet()
    images = torch.randn(2, 3, 64, 64)
    method = GradCAM()
    score = ModelRandomization(layers=["fc", "layer4"]).score(
        backbone, images, None, method.attribute(backbone, images), method.attribute
    )
    assert score.shape == (2,)


def test_parameters_that_stay_are_told_once():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.top = nn.Parameter(torch.tensor(2.0)), nn.Linear(27, 3)

        def forward(self, images):
            return self.scale * self.top(images.flatten(1))

    model, images, maps = Scaled(), torch.randn(2, 3, 3, 3), torch.rand(2, 3, 3)
    metric = ModelRandomization()
    with pytest.warns(UserWarning, match="one value each, and stay as they were trained: scale"):
        metric.score(model, images, 0, maps, gradient)
    assert metric.left == ["scale"]
    metric.score(model, images, 0, maps, gradient)


def test_hog_says_what_it_needs(monkeypatch):
    monkeypatch.setattr(measures, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs scikit-image: pip install 'lit-coiba\[demo\]'"):
        ModelRandomization(similarity="hog")


@pytest.mark.filterwarnings("ignore:.*survive pure noise")
def test_a_bottleneck_whose_statistics_belong_to_the_trained_model_has_no_score():
    backbone = tiny.vit()
    images = torch.randn(2, 3, 32, 32)
    method = IBA(steps=2, copies=1)
    method.prepare(backbone, images)
    maps = method.attribute(backbone, images)
    with pytest.warns(UserWarning, match=r"cannot explain a randomized model: .* belong to another model"):
        scores = ModelRandomization(layers=1).score(backbone, images, None, maps, method.attribute)
    assert scores.isnan().all()


def test_what_cannot_be_is_refused():
    for arguments, message in (({"order": "up"}, "order is"), ({"similarity": "cosine"}, "similarity is")):
        with pytest.raises(InputError, match=message):
            ModelRandomization(**arguments)
    images, maps = torch.randn(2, 3, 4, 4), torch.rand(2, 4, 4)
    with pytest.raises(InputError, match="no weights to randomize"):
        ModelRandomization().score(lambda x: x.mean((2, 3)), images, None, maps, gradient)
