"""What a readout reads and writes, where it begins, what it refuses; and that refining is CoIBA's own fit."""

import msgspec
import pytest
import torch

from lit_coiba.attribution import CoIBA, ReadoutCoIBA, ReadoutIBA
from lit_coiba.bottlenecks.readout.directions import classifier_rows, target_directions
from lit_coiba.bottlenecks.readout.noised import SampleNoise, image_keys
from lit_coiba.bottlenecks.readout.position_readout import PositionReadout
from lit_coiba.bottlenecks.readout.read_layers import read_layers
from lit_coiba.bottlenecks.readout.site import PositionSite
from lit_coiba.bottlenecks.readout.trained_readout import TrainedReadout
from lit_coiba.bottlenecks.readout.training_targets import training_classes
from lit_coiba.bottlenecks.readout.unit_readout import UnitReadout
from lit_coiba.bottlenecks.readout.unit_site import UnitSite
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import frozen
from lit_coiba.core.targets.class_target import class_rows
from lit_coiba.functional import BITS_PER_NAT, spearman
from tests._testers import readouts, tiny

MODELS = {"vit": tiny.vit, "cnn": tiny.resnet, "swin": tiny.swin}


def site_of(model, **about):
    made = readouts.untrained(model, **about)
    with frozen(model):
        return PositionSite(model, made.about, made.statistics)


def read(model, site, images, classes):
    with frozen(model):
        return site.reader.read(site.reader.forward(images), class_rows(classes, tiny.CLASSES))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("gradient", [True, False])
def test_before_training_every_position_is_equally_open_and_the_map_is_a_function_of_m(name, gradient):
    model = MODELS[name]()
    site, images = site_of(model, gradient=gradient), tiny.images(3, model.preprocessing.size)
    reading = read(model, site, images, torch.tensor([0, 1, 2]))
    alpha = site.network()(reading.features, reading.directions)
    torch.testing.assert_close(alpha, torch.full_like(reading.squared, 2.0))
    squared = (site.prior.standardise(0, site.split.lower(images).activation) ** 2).double()
    channel = {"tokens": -1, "channels_last": -1, "channels_first": 1}[site.reader.first.layout]
    m = squared.mean(channel).flatten(1)
    ratio = torch.sigmoid(torch.tensor(2.0)).double()
    nats = -0.5 * (1 + (1 - ratio).square().log() - ratio**2 * m - (1 - ratio) ** 2)
    expected = nats * site.reader.first.channels * BITS_PER_NAT
    torch.testing.assert_close(site.bits(alpha, reading).double(), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_one_forward_gives_features_gradient_and_logits(name):
    model = MODELS[name]().double()
    site, images = site_of(model), tiny.images(2, model.preprocessing.size).double()
    with frozen(model):
        clean = site.reader.forward(images)
    torch.testing.assert_close(clean.out, model(images))
    reading = read(model, site, images, torch.tensor([4, 5]))
    layers = model.split(site.about.read)
    found = {}
    with frozen(model):
        state = layers.lower(images)
        leaf = state.activation.clone().requires_grad_(True)
        out = layers.upper(state, lambda i, a: found.setdefault(i, leaf if i == 0 else a))
        (slope,) = torch.autograd.grad(out[torch.arange(2), torch.tensor([4, 5])].sum(), leaf)
    slope = slope / slope.square().flatten(1).mean(1).sqrt().reshape(-1, *[1] * (slope.dim() - 1))
    first = site.reader.first

    def rows(values):
        return values if first.layout == "tokens" else first.to_spatial(values).flatten(2).transpose(1, 2)

    torch.testing.assert_close(reading.features[0], rows(found[0].detach()))
    torch.testing.assert_close(reading.features[-3], rows(slope))
    torch.testing.assert_close(reading.features[-2], rows(slope * site.prior.standardise(0, leaf.detach())))
    assert all(feature.shape[:2] == (2, first.positions) for feature in reading.features)
    assert [feature.shape[2] for feature in reading.features] == site.reader.channels


@pytest.mark.parametrize("name", MODELS)
def test_the_gradient_is_read_at_every_bottleneck_layer(name):
    model = MODELS[name]().double()
    site, images = site_of(model), tiny.images(2, model.preprocessing.size).double()
    reading = read(model, site, images, torch.tensor([4, 5]))
    changes = reading.features[-1].unflatten(-1, (len(site.split.layers), 3))
    rows = torch.arange(2), torch.tensor([4, 5])

    def edited(state, number, change):
        return site.split.upper(state, lambda index, found: change(found) if index == number else found)[rows]

    with frozen(model):
        state = site.split.lower(images)
        for number, grid in enumerate(site.split.grids):
            mean, std = site.prior.parameters(number, state.activation)
            up, down = (edited(state, number, lambda r, k=k, mean=mean: r + k * (mean - r)) for k in (1e-6, -1e-6))
            slope = torch.zeros_like(mean).expand(2, *mean.shape).clone().requires_grad_(True)
            (slope,) = torch.autograd.grad(edited(state, number, lambda r, zero=slope: r + zero).sum(), slope)
            noise = (grid.over_channels((slope * std).square()) * grid.channels).sqrt()
            size = noise.mean(-1, keepdim=True)
            torch.testing.assert_close(
                changes[:, :, number, 0].sum(-1) * size[:, 0], (down - up) / 2e-6, rtol=1e-5, atol=1e-8
            )
            shares = (noise / size + 1e-3).log()
            shares = (shares - shares.mean(-1, keepdim=True)) / shares.std(-1, correction=0, keepdim=True)
            torch.testing.assert_close(changes[:, :, number, 2], shares)
    assert changes.shape[1] == site.reader.first.positions


def test_layers_that_are_read_lie_at_and_above_the_first_bottleneck_layer():
    assert read_layers(tiny.vit(), ["blocks.1.norm1", "blocks.2.norm1"]) == [f"blocks.{i}.norm1" for i in (1, 4, 5)]
    model, layers = tiny.resnet(), ["layer2.0", "layer2.1", "layer2.2"]
    found = read_layers(model, layers)
    sizes = [(model.grid(layer).height, model.grid(layer).width) for layer in found]
    assert found[:2] == [layers[0], layers[-1]]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes[1:])) == len(sizes[1:]) > 1


def test_the_direction_of_a_class_is_its_row_and_of_a_contrast_the_difference():
    model, logits = tiny.vit(), torch.randn(2, tiny.CLASSES)
    weight = model.model.get_classifier().weight
    torch.testing.assert_close(classifier_rows(model, tiny.CLASSES), weight.detach())
    found = target_directions(model, logits, class_rows(torch.tensor([3, 7]), tiny.CLASSES))
    torch.testing.assert_close(found, torch.nn.functional.normalize(weight[[3, 7]].detach(), dim=-1))

    class Contrast(type(class_rows(torch.tensor([3]), 10))):
        def score(self, out):
            return out[:, 3] - out[:, 5]

    rows = class_rows(torch.tensor([3, 3]), tiny.CLASSES)
    contrast = Contrast(**{name: getattr(rows, name) for name in rows.__dataclass_fields__})
    expected = torch.nn.functional.normalize(weight[3] - weight[5], dim=0).detach().expand(2, -1)
    torch.testing.assert_close(target_directions(model, logits, contrast), expected)


@pytest.mark.parametrize("name", MODELS)
def test_refining_from_a_constant_is_coiba_bit_for_bit(name, tmp_path, monkeypatch):
    model, images = MODELS[name](), None
    images = tiny.images(2, model.preprocessing.size)
    file = readouts.saved(model, tmp_path)
    readout = TrainedReadout.load(file)
    options = {"copies": 4, "antithetic": True, "seed": 3}
    coiba = CoIBA(readout.about.layers, steps=10, lr=1.0, alpha_init=5.0, **options)
    coiba.set_statistics(model, readout.statistics, ())
    expected = coiba.explain(model, images)
    monkeypatch.setattr(PositionReadout, "forward", lambda self, features, _: torch.full(features[0].shape[:2], 5.0))
    found = ReadoutCoIBA(file, refine=9, lr=1.0, **options).explain(model, images)
    assert torch.equal(found.maps, expected.maps)
    for extra in ("bits", "cross_entropy_start", "cross_entropy"):
        assert torch.equal(found.extras[extra], expected.extras[extra])


def test_a_randomized_model_is_refused_and_would_give_other_maps(tmp_path):
    model, images = tiny.vit(), tiny.images(8, (32, 32))
    file = readouts.saved(model, tmp_path)
    method = ReadoutCoIBA(file)
    before = method.attribute(model, images, 1)
    tiny.randomise(model, seed=9)
    with pytest.raises(InputError, match="was trained for another model or other weights"):
        method.attribute(model, images, 1)
    readout = TrainedReadout.load(file)
    about = msgspec.structs.replace(readout.about, model=model.digest())
    TrainedReadout(about, readout.weights, readout.statistics).save(tmp_path / "other.safetensors")
    after = ReadoutCoIBA(str(tmp_path / "other.safetensors")).attribute(model, images, 1)
    assert spearman(after.flatten(1), before.flatten(1)).mean() < 0.5


def test_what_the_target_is_worth_is_looked_at_if_asked(tmp_path):
    model, images = tiny.vit(), tiny.images(3, (32, 32))
    file = readouts.saved(model, tmp_path)
    plain = ReadoutCoIBA(file).explain(model, images)
    assert plain.extras.keys() == {"bits"}
    found = ReadoutCoIBA(file, verify=True, copies=2).explain(model, images)
    assert torch.equal(found.maps, plain.maps)
    closed = found.extras["cross_entropy_closed"]
    assert torch.equal(found.extras["not_found"], (found.extras["cross_entropy"] >= closed).float())
    site = site_of(model)
    with frozen(model), torch.no_grad():
        targets = class_rows(model(images).argmax(-1), tiny.CLASSES)
        draws = []
        prior = site.prior.settings._replace(copies=2, antithetic=True, seed=0)
        noise = type(site.prior)(prior)
        for copy in range(2):

            def only_noise(index, activation, copy=copy):
                return noise.draw(0, index, activation)[copy].expand_as(activation)

            draws.append(targets.fidelity(site.split.upper(site.split.lower(images), only_noise)))
    torch.testing.assert_close(closed, torch.stack(draws).mean(0), rtol=1e-3, atol=1e-4)


def test_a_target_without_a_gradient_is_refused(tmp_path):
    class Rank(type(class_rows(torch.tensor([3]), 10))):
        @property
        def differentiable(self):
            return False

    model, images = tiny.vit(), tiny.images(2, (32, 32))
    rows = class_rows(torch.tensor([3, 3]), tiny.CLASSES)
    rank = Rank(**{name: getattr(rows, name) for name in rows.__dataclass_fields__})
    with pytest.raises(InputError, match="needs gradients, and the target's score has none"):
        ReadoutCoIBA(readouts.saved(model, tmp_path)).attribute(model, images, rank)


def test_noise_and_training_classes_of_a_sample_depend_on_no_batch():
    images = tiny.images(64, (32, 32))
    keys = image_keys(images)
    assert len(set(keys)) == 64
    assert image_keys(images[5:6]) == keys[5:6] == image_keys(images.to(memory_format=torch.channels_last)[5:6])
    site = site_of(tiny.vit())
    like = torch.zeros(1)
    whole = SampleNoise(site.prior, 0, 3, keys).of(1, like)
    assert torch.equal(SampleNoise(site.prior, 0, 3, keys[5:6]).of(1, like)[0], whole[5])
    assert not torch.equal(SampleNoise(site.prior, 0, 4, keys[5:6]).of(1, like)[0], whole[5])
    logits = torch.randn(64, tiny.CLASSES)
    chosen = training_classes(logits, keys, 0, 7)
    assert torch.equal(training_classes(logits[5:6], keys[5:6], 0, 7), chosen[5:6])
    rank = (logits > logits.gather(1, chosen.unsqueeze(1))).sum(1)
    assert set(rank.tolist()) == {0, 1, 2, 3, 4}
    assert 0.55 < (rank == 0).float().mean() < 0.85
    assert torch.equal(training_classes(logits[:, :2], keys, 0, 7).unique(), torch.tensor([0, 1]))


@pytest.mark.parametrize("variant", ["A", "B"])
def test_readout_iba_begins_near_five_and_is_clamped(variant):
    network = UnitReadout(20, 8, variant)
    features = torch.randn(3, 10, 20)
    assert (network(features) - 5).abs().max() < 0.01
    with torch.no_grad():
        network.last.weight.mul_(1e6)
    found = network(features)
    assert (found.min(), found.max()) == (-5, 5)
    widths = {"A": [2, 2, 8], "B": [10, 16, 8]}[variant]
    assert [part.out_features for part in (network.first, network.second, network.last)] == widths


@pytest.mark.parametrize("start", [-6.0, 6.0])
def test_ratios_of_readout_iba_that_went_over_a_bound_can_be_trained_back(start):
    network, features = UnitReadout(20, 8), torch.randn(3, 10, 20)
    torch.nn.init.constant_(network.last.bias, start)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        network(features).square().mean().backward()
        optimizer.step()
    assert network(features).abs().max() < 1


def test_the_map_of_readout_iba_is_the_information_of_its_ratios(tmp_path):
    model, images = tiny.resnet(), tiny.images(2, (64, 64))
    file = readouts.saved(model, tmp_path, "iba")
    found = ReadoutIBA(file).explain(model, images)
    made = TrainedReadout.load(file)
    layer = made.about.layers[0]
    mean, std, active = (part[layer] for part in (made.statistics.mean, made.statistics.std, made.statistics.active))
    with frozen(model):
        site = UnitSite(model, made.about, made.statistics)
        clean = site.reader.forward(images)
        alpha = site.ratios(made.into(site.network())(site.features(clean)))
    ratio = site.smoothed(torch.sigmoid(alpha)).double()
    rest = site.smoothed(torch.sigmoid(-alpha)).double()
    standardized = (clean.state.activation - mean) / std.clamp_min(0.01)
    nats = -0.5 * (1 + rest.square().log() - ratio.square() * standardized.double().square() - rest.square())
    bits = (nats * (active > 0.01) * BITS_PER_NAT).sum(1)
    torch.testing.assert_close(found.maps.double(), bits, rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(found.extras["bits"], found.maps.sum((1, 2)))
