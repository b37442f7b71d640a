"""Concepts and units of heads as objectives, by hand from activations that a hook of the test's own catches."""

import numpy as np
import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import frozen
from lit_coiba.feature_visualization import MACO, ConceptObjective, PrototypeChannel
from lit_coiba.feature_visualization.seen import Seen
from lit_coiba.heads import EPICHead, LinearHead
from tests._testers import tiny
from tests._testers.visualizing import FEW, concepts_of

ROWS = slice(1, 3)


def scored(objective, model, images):
    with frozen(model), torch.no_grad():
        score = objective.bind(model, Seen(model, images[:1], objective.layers))
        return score(Seen(model, images, objective.layers), ROWS).double().numpy()


def test_a_concept_is_dot_product_times_cosine():
    model = tiny.resnet()
    images, caught = tiny.images(4, model.preprocessing.size), []
    concepts = concepts_of(model, "layer2")
    handle = model.model.get_submodule("layer2").register_forward_hook(lambda m, i, output: caught.append(output))
    with torch.no_grad():
        model(images)
    handle.remove()
    pooled = caught[0].double().numpy().mean((2, 3))[ROWS]
    for number, vector in enumerate(concepts.dictionary.double().numpy()):
        dot = pooled @ vector
        cosine = dot / np.linalg.norm(pooled, axis=1) / np.linalg.norm(vector)
        assert cosine.min() > 0.1
        objective = ConceptObjective(concepts, number)
        assert objective.layers == ("layer2",)
        assert np.allclose(scored(objective, model, images), cosine * dot, rtol=1e-4)


def test_an_image_goes_to_its_concept():
    """Of orthogonal concepts: each image drives its own further than the others do."""
    model = tiny.resnet().double()
    layer, count = "layer2", 3
    concepts = concepts_of(model, layer, count=count)
    concepts.dictionary.zero_()
    channels = concepts.dictionary.shape[1]
    for number in range(count):
        concepts.dictionary[number, number * channels // count : (number + 1) * channels // count] = 1
    objectives = [ConceptObjective(concepts, number) for number in range(count)]
    found = MACO(**{**FEW, "steps": 40, "crop_side": 0.8}).visualize(model, objectives)
    assert (found.scores[:, -4:].mean(1) > found.scores[:, :4].mean(1)).all()


def test_concepts_of_another_model_are_refused():
    model = tiny.resnet()
    concepts = concepts_of(model, "layer2")
    with torch.no_grad():
        next(model.parameters()).mul_(2)
    with pytest.raises(InputError, match="belong to another model or other weights"):
        MACO(**FEW).visualize(model, ConceptObjective(concepts, 0))


def test_a_concept_that_there_is_not():
    concepts = concepts_of(tiny.resnet(), "layer2", count=2)
    with pytest.raises(InputError, match="concept 2 does not exist: give 0 to 1"):
        ConceptObjective(concepts, 2)
    with pytest.raises(InputError, match="concept is -1"):
        ConceptObjective(concepts, -1)


def test_a_unit_is_the_peak_of_its_map_on_either_side():
    model = tiny.infodisent()
    images = tiny.images(4, model.preprocessing.size)
    with torch.no_grad():
        maps = model.head.activations(model.features(images)).double().numpy()[ROWS, 5]
    assert np.allclose(scored(PrototypeChannel(5), model, images), maps.max((1, 2)), atol=1e-5)
    assert np.allclose(scored(PrototypeChannel(5, -1), model, images), (-maps).max((1, 2)), atol=1e-5)


def test_a_unit_of_epic_is_the_sum_of_its_map():
    model = tiny.resnet()
    model.attach(EPICHead(model.feature_channels, 3))
    images = tiny.images(4, model.preprocessing.size)
    with torch.no_grad():
        maps = model.head.activations(model.features(images)).double().numpy()[ROWS, 2]
    assert np.allclose(scored(PrototypeChannel(2), model, images), maps.sum((1, 2)), atol=1e-4)


def test_units_that_there_are_not():
    images = tiny.images(2, (32, 32))
    with pytest.raises(InputError, match="this model has none: train one"):
        scored(PrototypeChannel(0), tiny.resnet(), images)
    with pytest.raises(InputError, match="unit is 99, and the head has the units 0 to"):
        scored(PrototypeChannel(99), tiny.infodisent(), images)
    with pytest.raises(InputError, match="side is 2"):
        PrototypeChannel(0, 2)
    model = tiny.resnet()
    model.attach(LinearHead(model.feature_channels, 3))
    with pytest.raises(InputError, match="LinearHead have no negative side"):
        scored(PrototypeChannel(0, -1), model, images)
