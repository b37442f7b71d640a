from typing import ClassVar

import pytest
import torch
from captum.attr import NoiseTunnel
from captum.attr import Saliency as CaptumSaliency
from torch import nn

from lit_coiba.attribution import Saliency, SmoothGrad
from lit_coiba.core.errors import InputError
from lit_coiba.functional import noise
from tests._testers import tiny
from tests._testers.analytic import Linear, network
from tests._testers.methods import CopiesTester
from tests._testers.model_state import assert_near

CAPTUM = {"smooth": "smoothgrad", "square": "smoothgrad_sq", "var": "vargrad"}


class TestSmoothGrad(CopiesTester):
    method = SmoothGrad
    arguments: ClassVar = {"n_samples": 4}
    evaluations = (4, 4)


class TestVarGrad(CopiesTester):
    method = SmoothGrad
    arguments: ClassVar = {"n_samples": 4, "kind": "var"}
    evaluations = (4, 4)


@pytest.mark.parametrize("kind", CAPTUM)
def test_it_is_captum_with_the_same_noise(kind, monkeypatch):
    model, images, classes = tiny.resnet().double(), tiny.images(2, (64, 64)).double(), torch.tensor([4, 1])
    drawn = torch.stack([noise(3, copy, 0, (3, 64, 64)) for copy in range(6)]).double()
    scale = 0.2 / torch.tensor(model.preprocessing.std, dtype=torch.float64).view(-1, 1, 1)
    monkeypatch.setattr(torch, "normal", lambda mean, std: (scale * drawn).repeat(2, 1, 1, 1))  # image-major
    tunnel = NoiseTunnel(CaptumSaliency(model))
    values = tunnel.attribute(images, nt_type=CAPTUM[kind], nt_samples=6, target=classes, abs=False)
    method = SmoothGrad(kind, 0.2, 6, seed=3)
    assert_near(method.attribute(model, images, classes), values.detach().abs().amax(1), 1e-10)
    signed = SmoothGrad(kind, 0.2, 6, seed=3, reduce="sum").attribute(model, images, classes)
    assert_near(signed, values.detach().sum(1), 1e-10)


def test_captum_draws_from_the_same_distribution():
    """Means over many copies of a model whose gradient is quadratic in the noise: both within five standard errors."""
    model = network(nn.Flatten(), nn.Linear(192, 5))
    weight = model.layers[1].weight
    model.forward = lambda x: (x.flatten(1) ** 3 / 3) @ weight.T  # gradient: x^2 w
    image, sigma, copies = torch.full((1, 3, 8, 8), 0.5, dtype=torch.float64), 0.1 / 0.225, 400
    model.preprocessing = model.preprocessing.__class__(size=(8, 8), std=(0.225, 0.225, 0.225))
    expected = (0.25 + sigma**2) * weight[1].detach().view(3, 8, 8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tunnel = NoiseTunnel(CaptumSaliency(model))
        theirs = tunnel.attribute(image, nt_samples=copies, stdevs=sigma, target=1, abs=False)[0].detach()
    spread = weight[1].detach().abs().view(3, 8, 8) * (sigma**2 + 2 * sigma**4) ** 0.5  # of (0.5 + sigma * n)^2
    ours = SmoothGrad(sigma=0.1, n_samples=copies, reduce="sum").attribute(model, image, 1)[0]
    assert ((theirs - expected).abs() < 5 * spread / copies**0.5).all()
    assert ((ours - expected.sum(0)).abs() < 5 * (spread**2).sum(0).sqrt() / copies**0.5).all()


def test_without_noise_it_is_saliency_without_variance():
    model, images = tiny.vit().double(), tiny.images(2, (32, 32)).double()
    saliency = Saliency().attribute(model, images)
    assert_near(SmoothGrad(sigma=0, n_samples=2).attribute(model, images), saliency, 1e-10)
    assert_near(SmoothGrad("square", 0, 2).attribute(model, images), saliency**2, 1e-10)
    assert SmoothGrad("var", 0, 2).attribute(model, images).max() < 1e-14 * (saliency**2).max()


def test_a_linear_model_is_as_steep_everywhere():
    model, images = Linear(), torch.randn(2, 3, 8, 8, dtype=torch.float64)
    maps = SmoothGrad(n_samples=3, reduce="sum").attribute(model, images, 1)
    torch.testing.assert_close(maps, model.weight.detach().sum(0).expand(2, 8, 8), rtol=0, atol=1e-12)
    assert SmoothGrad("var", n_samples=3).attribute(model, images, 1).max() < 1e-12


@pytest.mark.parametrize("arguments", [{"n_samples": 0}, {"sigma": -0.1}, {"kind": "mean"}])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(InputError, match=next(iter(arguments))):
        SmoothGrad(**arguments)
    with pytest.raises(InputError, match="n_samples is 1"):
        SmoothGrad("var", n_samples=1)
