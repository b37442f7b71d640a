"""Checks are numbered as in the spec iba.md; those of a hidden layer's bottleneck are in test_iba.py."""

import pytest
import torch
import yaml
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import cross_entropy

from lit_coiba.bottlenecks import IBA, InputIBA
from lit_coiba.bottlenecks.feature_matching import Matching, match_features
from lit_coiba.bottlenecks.fitting import PerImageAdam
from lit_coiba.bottlenecks.pixel_bottleneck import PIXELS, PixelBottleneck
from lit_coiba.bottlenecks.pixel_noise import PixelNoise, pixel_noise
from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.errors import InputError
from lit_coiba.functional import beyond_masked_prior, information, information_of_ratio, noise
from lit_coiba.resources import resource
from tests._testers import tiny
from tests._testers.twins import gaussian_matrix

TARGETS = torch.tensor([1, 5])
LAYER = "layer2.1"
FEW = {"feature_steps": 3, "feature_copies": 2, "n_samples": 6, "group": 3, "epochs": 2, "batch": 4, "critic_steps": 2}
ALPHAS = torch.linspace(-4, 14, 19, dtype=torch.float64)


@pytest.fixture(scope="module")
def model():
    return tiny.resnet().double()


@pytest.fixture(scope="module")
def images(model):
    return tiny.images(2, model.preprocessing.size, seed=4).double()


@pytest.fixture(scope="module")
def statistics(model):
    return tiny.statistics(model, [LAYER])


@pytest.fixture
def build(model, statistics):
    def build(**arguments):
        method = InputIBA(**{"layer": LAYER, "copies": 2, "steps": 2, **FEW, **arguments})
        method.set_statistics(model, statistics, ())
        return method

    return build


def beyond(alpha, mask, squared):
    signs = torch.sigmoid(alpha), torch.sigmoid(-alpha)
    return information_of_ratio(*beyond_masked_prior(*signs, torch.sigmoid(-mask)), squared)


@pytest.mark.parametrize("mask", [-6.0, 0.0, 3.0])
def test_2_information_is_the_divergence_of_the_two_gaussians(mask):
    mean, std = torch.tensor(0.3, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64)
    ratio, shown = torch.sigmoid(ALPHAS), torch.sigmoid(torch.tensor(mask, dtype=torch.float64))
    for x in (-2.0, 0.3, 1.5):
        kept = Normal(ratio * x + (1 - ratio) * mean, (1 - ratio) * std)
        prior = Normal(shown * ratio * x + (1 - shown * ratio) * mean, (1 - shown * ratio) * std)
        nats = beyond(ALPHAS, torch.tensor(mask, dtype=torch.float64), ((x - mean) / std) ** 2)
        torch.testing.assert_close(nats, kl_divergence(kept, prior), rtol=1e-9, atol=1e-10)


def test_11_an_empty_mask_gives_the_plain_form():
    ratio, squared = torch.sigmoid(ALPHAS), torch.linspace(0, 4, 19, dtype=torch.float64)
    effective, rest = beyond_masked_prior(ratio, torch.sigmoid(-ALPHAS), torch.ones(1, dtype=torch.float64))
    torch.testing.assert_close(rest.square(), (1 - ratio) ** 2, rtol=0, atol=1e-10)
    torch.testing.assert_close(effective, ratio, rtol=0, atol=1e-10)
    closed = torch.full_like(ALPHAS, -1000.0)
    torch.testing.assert_close(beyond(ALPHAS, closed, squared), information(ALPHAS, squared), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_the_mask_shows_costs_nothing_and_nothing_is_ever_infinite(dtype):
    alpha = torch.tensor([-200.0, -40.0, 0.0, 40.0, 200.0], dtype=dtype)
    for mask in (-200.0, 0.0, 200.0):
        assert beyond(alpha, torch.tensor(mask, dtype=dtype), torch.tensor(2.0, dtype=dtype)).isfinite().all()
    assert beyond(alpha[:3], torch.tensor(200.0, dtype=dtype), torch.tensor(2.0, dtype=dtype)).abs().max() < 1e-30


def test_1_bits_of_the_layer_are_those_of_iba_without_smoothing(model, images, statistics, build):
    iba = IBA(LAYER, steps=3, copies=2, beta=20.0, smoothing=0.0)
    iba.set_statistics(model, statistics, ())
    expected = iba.explain(model, images, TARGETS).extras["bits"]
    found = build(chunk=1).explain(model, images, TARGETS).extras["feature_bits"]
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)


class Stop(Exception):
    """The gradient function has been caught."""


@pytest.mark.parametrize("smoothing", [0.0, 1.0])
def test_3_gradient_of_the_pixels_loss(monkeypatch, model, images, build, smoothing):
    found, original = [], PerImageAdam.fit

    def fit(adam, alpha, images, bottleneck):
        if not isinstance(bottleneck, PixelBottleneck):
            return original(adam, alpha, images, bottleneck)
        found.extend([alpha, lambda step: adam.gradient(alpha, step, images, bottleneck)[0]])
        raise Stop

    mask = torch.linspace(-3, 3, images.numel(), dtype=torch.float64).view_as(images)
    monkeypatch.setattr(PerImageAdam, "fit", fit)
    monkeypatch.setattr("lit_coiba.bottlenecks.input_iba.match_features", lambda *_: mask)
    method = build(smoothing=smoothing, beta=3.0)
    with pytest.raises(Stop):
        method.explain(model, images, TARGETS)
    alpha, gradient = found
    alpha.copy_(torch.linspace(6, -2, alpha.numel(), dtype=torch.float64).view_as(alpha))
    slope = gradient(1)
    size, eps = images.shape[-1], noise(0, 1, PIXELS, (2, *images.shape[1:])).double()
    kernel = gaussian_matrix(size, smoothing) if smoothing else torch.eye(size, dtype=torch.float64)

    def loss(image, target, shown, alpha):
        ratio = kernel @ torch.sigmoid(alpha) @ kernel.T
        rn = image * (1 - shown) / (1 - shown * ratio)
        v = (1 - ratio) ** 2 / (1 - shown * ratio) ** 2
        nats = -0.5 * (1 + v.log() - (ratio * rn) ** 2 - v)
        return cross_entropy(model(ratio * image + (1 - ratio) * eps), target.repeat(2)) + 3.0 * nats.mean()

    places = torch.randperm(images[0].numel(), generator=torch.Generator().manual_seed(0))[:6]
    for i, shown in enumerate(torch.sigmoid(mask)):
        for place in places:
            shift = torch.zeros(images[0].numel(), dtype=torch.float64)
            shift[place] = 1e-4
            shift = shift.view_as(images[0])
            with torch.no_grad():
                up, down = (loss(images[i], TARGETS[i], shown, alpha[i] + s * shift) for s in (1, -1))
            expected = (up - down) / 2e-4
            torch.testing.assert_close(slope[i].flatten()[place], expected, rtol=1e-6, atol=1e-10)


MATCHING = Matching(5, 2, 3, 3, 2, 0.01, 0.003, 0.1, 0.05, 5e-5, 4, seed=2)


@pytest.mark.parametrize(("network", "layer"), [(tiny.resnet, LAYER), (tiny.vit, "blocks.1"), (tiny.swin, None)])
def test_matching_is_a_gan_per_image(network, layer):
    """Against a plain loop over images, with modules of torch for the critic, and hooks on the model."""
    model = network().double()
    layer = layer or model.default_layers()[0]
    images = tiny.images(2, model.preprocessing.size, seed=4).double()
    with torch.no_grad():
        split = model.split([layer])
        activation = split.lower(images).activation
    bits = 2 * torch.rand(activation.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    start = 0.3 * images
    level = PixelNoise(*(torch.tensor(v).double().view(3, 1, 1) for v in ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])))
    found = match_features(split, images, activation, bits, start, level, MATCHING, BatchedEvaluator())
    for i in range(2):
        expected = slow_matching(model, split.grids[0], images[i], activation[i], bits[i], start[i], level)
        assert (found[i] - start[i]).abs().max() > 1e-2
        torch.testing.assert_close(found[i], expected, rtol=0, atol=1e-6)  # samples are drawn in fp32


def slow_matching(model, grid, image, activation, bits, start, level):
    """One image; random numbers are those that the package draws."""
    positions = grid.positions
    critic = [nn.Linear(grid.channels, 4), nn.Linear(4 * positions, 4), nn.Linear(4, 1, bias=False)]
    draws = [
        noise(2, k, 1005, s) for k, s in enumerate([(grid.channels, 4), (1, 4), (4 * positions, 4), (1, 4), (4, 1)])
    ]
    weights = [p for layer in critic for p in layer.double().parameters()]
    for p, draw in zip(weights, draws):  # bounds of 0.01 throughout: all fans are below 10,000
        p.data = 0.01 * (2 * Normal(0, 1).cdf(draw.double()) - 1).float().double().T.reshape(p.shape)
    activate = nn.LeakyReLU(0.2)

    def score(samples):
        if grid.layout == "channels_first":
            samples = samples.movedim(1, -1)
        hidden = activate(critic[0](samples.reshape(len(samples), positions, -1)))
        return critic[2](activate(critic[1](hidden.flatten(1))))

    mask, mean, scale = start.clone(), torch.zeros(3, 1, 1).double(), torch.ones(3, 1, 1).double()
    fitted = [p.requires_grad_(True) for p in (mask, mean, scale)]
    move = torch.optim.RMSprop([{"params": [p], "lr": lr} for p, lr in zip(fitted, (0.003, 0.1, 0.05))])
    judge = torch.optim.RMSprop(weights, lr=5e-5)
    uniform = [Normal(0, 1).cdf(noise(2, k, 1002, (3,)).double()) for k in (0, 1)]
    groups = [noise(2, k, 1001, (min(2, 5 - 2 * k), *activation.shape)).double() for k in range(3)]
    pool = torch.cat([4 * uniform[0][k] - 2 + 5 * uniform[1][k] * g for k, g in enumerate(groups)])
    seen = []
    handle = model.model.get_submodule(grid.layer).register_forward_hook(lambda m, a, output: seen.append(output))
    step = 0
    for epoch in range(3):
        for chosen in noise(2, epoch, 1003, (5,)).argsort().split(3):
            g = noise(2, step, 1004, (len(chosen), *image.shape)).double()

            def fake():
                shown = torch.sigmoid(mask)
                model(shown * image + (1 - shown) * (level.mean + level.std * (scale * g + mean)))  # noqa: B023
                return score(seen.pop())

            judge.zero_grad()
            (fake().mean() - score(bits * activation + (1 - bits) * pool[chosen]).mean()).backward()
            judge.step()
            for p in weights:
                p.data.clamp_(-0.01, 0.01)
            step += 1
            if step % 2 == 0:
                move.zero_grad()
                (-fake().mean()).backward()
                move.step()
    handle.remove()
    return mask.detach()


def test_noise_at_the_pixels_is_standard_normal_where_imagenet_normalises(model):
    level = pixel_noise(model, torch.zeros(1, dtype=torch.float64))
    assert torch.allclose(level.mean, torch.zeros(3, 1, 1).double())
    assert torch.allclose(level.std, torch.ones(3, 1, 1).double())
    half = tiny.Backbone("resnet18", num_classes=3, image_size=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    level = pixel_noise(half, torch.zeros(1))
    torch.testing.assert_close(half.denormalize(level.mean).flatten(), torch.tensor([0.485, 0.456, 0.406]))
    torch.testing.assert_close(0.5 * level.std.flatten(), torch.tensor([0.229, 0.224, 0.225]))


def test_maps_are_shares_at_the_size_of_the_image(model, images, build):
    maps = build(steps=8).explain(model, images, TARGETS).maps
    assert maps.shape == (2, *model.preprocessing.size)
    assert maps.min() >= 0
    assert maps.max() <= 1


def test_12_same_seed_same_map(model, images, build):
    first = build(seed=3).explain(model, images, TARGETS).maps
    torch.manual_seed(8)
    assert torch.equal(build(seed=3).explain(model, images, TARGETS).maps, first)
    assert not torch.equal(build(seed=4).explain(model, images, TARGETS).maps, first)


def test_default_layers_are_those_of_iba():
    for model in (tiny.vit(), tiny.resnet()):
        assert InputIBA().statistics_layers(model) == IBA().statistics_layers(model)


def test_the_config_says_what_the_class_says():
    config = yaml.safe_load((resource("configs") / "method/input_iba.yaml").read_text())
    assert config["model"]["method"]["init_args"] == InputIBA().arguments()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"feature_steps": 1}, "feature_steps is 1: give a whole number, 2 or more"),
        ({"copies": 0}, "copies is 0: give a whole number, 1 or more"),
        ({"smoothing": -1.0}, "smoothing is -1.0: give 0 or more"),
        ({"clip": 0.0}, "clip is 0.0: give a number above 0"),
        ({"chunk": 0}, "chunk is 0"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        InputIBA(**arguments)


def test_more_smoothing_than_the_image_has_pixels_is_refused(model, images, build):
    with pytest.raises(InputError, match=r"smoothing=50.0 needs more than 100 pixels per side"):
        build(smoothing=50.0).explain(model, images, TARGETS)
