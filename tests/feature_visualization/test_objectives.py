"""Objectives against what they say, computed by hand from activations that a hook of the test's own catches."""

import numpy as np
import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import frozen
from lit_coiba.core.targets import Class
from lit_coiba.feature_visualization.objectives import (
    Channel,
    Direction,
    Embedding,
    Neuron,
    TargetScore,
    WeightedSum,
)
from lit_coiba.feature_visualization.seen import Seen
from tests._testers import tiny

MODELS = {"resnet": (tiny.resnet, "layer2"), "vit": (tiny.vit, "blocks.3"), "swin": (tiny.swin, "layers.0")}
ROWS = slice(1, 3)


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    """A model, a layer, images, and the layer's activation as ``(R, C, h, w)``."""
    build, layer = MODELS[request.param]
    model = build()
    images = tiny.images(4, model.preprocessing.size)
    caught = []
    handle = model.model.get_submodule(layer).register_forward_hook(lambda m, i, output: caught.append(output))
    with torch.no_grad():
        logits = model(images)
    handle.remove()
    activation = caught[0].numpy()
    if request.param == "vit":
        activation = activation[:, 1:].reshape(4, 4, 4, -1).transpose(0, 3, 1, 2)
    elif request.param == "swin":
        activation = activation.transpose(0, 3, 1, 2)
    return model, layer, images, logits, activation


def scored(objective, model, images, rows=ROWS):
    with frozen(model), torch.no_grad():
        score = objective.bind(model, Seen(model, images[:1]))
        return score(Seen(model, images, objective.layers), rows).numpy()


def test_a_class_is_its_logit(case):
    model, _, images, logits, _ = case
    assert np.allclose(scored(TargetScore(3), model, images), logits[ROWS, 3], atol=1e-5)
    probability = scored(TargetScore(Class(3, score="prob")), model, images)
    assert np.allclose(probability, logits.softmax(-1)[ROWS, 3], atol=1e-5)


def test_a_channel_is_its_mean_over_space(case):
    model, layer, images, _, activation = case
    wanted = activation[ROWS, 5].mean((1, 2))
    assert np.allclose(scored(Channel(layer, 5), model, images), wanted, atol=1e-5)


def test_a_neuron_is_one_place(case):
    model, layer, images, _, activation = case
    height, width = activation.shape[2:]
    wanted = activation[ROWS, 5, height // 2, width // 2]
    assert np.allclose(scored(Neuron(layer, 5), model, images), wanted, atol=1e-5)
    assert np.allclose(scored(Neuron(layer, 5, 0, 2), model, images), activation[ROWS, 5, 0, 2], atol=1e-5)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_a_direction_is_dot_product_times_clamped_cosine(case, power):
    model, layer, images, _, activation = case
    vector = np.random.default_rng(0).normal(size=activation.shape[1])
    pooled = activation.mean((2, 3))[ROWS]
    dot = pooled @ vector
    cosine = dot / np.linalg.norm(pooled, axis=1) / np.linalg.norm(vector)
    wanted = dot * np.maximum(cosine, 0.1) ** power
    found = scored(Direction(layer, vector.tolist(), power), model, images)
    assert np.allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_an_embedding_is_compared_by_cosine_or_dot_product(case):
    model, _, images, logits, _ = case
    with torch.no_grad():
        features = model.features(images).mean((2, 3)).numpy()[ROWS]
    vector = np.random.default_rng(0).normal(size=features.shape[1])
    dot = features @ vector
    wanted = dot / np.linalg.norm(features, axis=1) / np.linalg.norm(vector)
    assert np.allclose(scored(Embedding(vector.tolist()), model, images), wanted, atol=1e-5)
    assert np.allclose(scored(Embedding(vector.tolist(), "dot"), model, images), dot, rtol=1e-4, atol=1e-4)
    output = Embedding([1.0] + [0.0] * 9, "dot", "output")
    assert np.allclose(scored(output, model, images), logits[ROWS, 0], atol=1e-5)


def test_a_sum_is_weighted(case):
    model, layer, images, logits, activation = case
    objective = WeightedSum([TargetScore(2), Channel(layer, 1)], [2.0, -0.5])
    wanted = 2 * logits[ROWS, 2].numpy() - 0.5 * activation[ROWS, 1].mean((1, 2))
    assert np.allclose(scored(objective, model, images), wanted, atol=1e-5)
    assert objective.name == f"2 class 2 - 0.5 {layer}, channel 1"


class TwoOutputs(nn.Module):
    """A tuple: something else, and logits."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.ReLU())
        self.first, self.second = nn.Linear(6, 4), nn.Linear(6, 3)

    def forward(self, images):
        pooled = self.body(images).mean((-2, -1))
        return self.first(pooled), {"logits": self.second(pooled)}


def test_one_of_several_outputs_is_a_path():
    module = TwoOutputs().eval()
    images = tiny.images(4, (16, 16))
    with torch.no_grad():
        first, second = module(images)
    for path, wanted in ((0, first), ((1, "logits"), second["logits"])):
        objective = TargetScore(Class(2, output=path))
        with torch.no_grad():
            score = objective.bind(module, Seen(module, images[:1]))
            assert torch.allclose(score(Seen(module, images), ROWS), wanted[ROWS, 2])
    with pytest.raises(InputError, match="set the target's output to one of them"):
        TargetScore(2).bind(module, Seen(module, images[:1]))


def test_nothing_stays_on_the_model(case):
    model, layer, images, _, _ = case
    scored(Channel(layer, 0), model, images)
    assert not any(module._forward_hooks for module in model.modules())


def test_classes_go_by_name():
    model = tiny.resnet()
    model.class_names = [f"kind {number}" for number in range(10)]
    images = tiny.images(3, model.preprocessing.size)
    assert TargetScore("kind 4").name == "kind 4"
    assert np.allclose(scored(TargetScore("kind 4"), model, images), scored(TargetScore(4), model, images))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TargetScore("predicted"), "there is no image yet whose class this could be"),
        (lambda: TargetScore("top3"), "there is no image yet"),
        (lambda: Direction("layer2", [0.0, 0.0]), "vector is zero everywhere"),
        (lambda: Direction("layer2", [1.0], -1.0), "cosine_power is -1"),
        (lambda: Embedding([0.0]), "vector is zero everywhere"),
        (lambda: Embedding([1.0], "angle"), "measure is 'angle': choose cosine, dot"),
        (lambda: Channel("layer2", "5"), "channel is '5': give a whole number"),
        (lambda: WeightedSum([]), "objectives has no objective"),
        (lambda: WeightedSum([Channel("layer2", 5)], [1.0, 2.0]), "weights has 2 numbers for 1 objectives"),
    ],
)
def test_bad_arguments_are_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (TargetScore(10), "class 10 is outside"),
        (TargetScore("no such class"), "class names are unknown"),
        (Channel("layer2", 16), r"channel is 16, and the layer layer2 has the channels 0 to 15"),
        (Channel("layer9", 0), "layer9"),
        (Neuron("layer2", 0, 8, 0), r"the place \(8, 0\) is not on the grid of layer2, 8 x 8"),
        (Direction("layer2", [1.0]), "vector has 1 numbers, and layer2 has 16 channels"),
        (Embedding([1.0]), "vector has 1 numbers, and the features of the model 32"),
    ],
)
def test_what_the_model_does_not_have_is_refused(objective, words):
    model = tiny.resnet()
    with pytest.raises(InputError, match=words):
        scored(objective, model, tiny.images(3, model.preprocessing.size))


def test_a_model_without_classes_has_no_class():
    model = Backbone("resnet10t", num_classes=0, image_size=64).eval()
    images = tiny.images(3, (64, 64))
    with pytest.raises(InputError, match="no classifier"):
        scored(TargetScore(0), model, images)
    with torch.no_grad():
        wanted = model(images)[ROWS, 7]
    unit = [float(number == 7) for number in range(model.feature_channels)]
    assert np.allclose(scored(Embedding(unit, "dot", "output"), model, images), wanted, atol=1e-5)
