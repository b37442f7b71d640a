"""A bottleneck of the user's own: what the base class gives it, and what it owes."""

import copy
import pickle
from dataclasses import replace

import pytest
import torch

from lit_coiba.bottlenecks import IBA, BottleneckMethod, CoIBA, InputIBA
from lit_coiba.bottlenecks.fitting import PerImageAdam
from lit_coiba.bottlenecks.position_bottleneck import PositionBottleneck
from lit_coiba.core.errors import InputError
from lit_coiba.core.explanation import Explanation
from tests._testers import tiny

LAYER = "blocks.2"


class Surprise(BottleneckMethod):
    """How far an activation is from the noise that would replace it, at one layer; nothing is fitted."""

    def __init__(self, layer: str = LAYER, statistics: str | None = None, min_std: float = 0.01) -> None:
        super().__init__(statistics, min_std)
        self.layer = layer

    def statistics_layers(self, model):
        return [self.layer]

    def _explain(self, model, images, targets):
        split = model.split([self.layer])
        standardized = self._prior(self._slot.of(model), split.layers, copies=1).standardise(
            0, split.lower(images).activation
        )
        return Explanation(split.grids[0].to_map(split.grids[0].over_channels(standardized.square())), {})


class CoIBAOfOneLayer(Surprise):
    """CoIBA at one layer, from the parts that the package's own methods are made of."""

    def _explain(self, model, images, targets):
        split = model.split([self.layer])
        prior = self._prior(self._slot.of(model), split.layers, copies=2)
        bottleneck = PositionBottleneck(split, split.lower(images), targets, prior, beta=0.1)
        fitted = PerImageAdam(3, 1.0, 2, self._evaluator).fit(bottleneck.start(5.0), images, bottleneck)
        return Explanation(split.grids[0].to_map(bottleneck.bits(fitted.alpha)), fitted.extras())


@pytest.fixture(scope="module")
def model():
    return tiny.vit()


@pytest.fixture(scope="module")
def images(model):
    return tiny.images(12, model.preprocessing.size, seed=6)


def unread():
    raise AssertionError("images are read")
    yield


def test_the_maps_follow_from_the_statistics_that_prepare_estimates(model, images):
    seen = []
    handle = model.model.get_submodule(LAYER).register_forward_hook(lambda m, a, output: seen.append(output))
    with torch.no_grad():
        model(images)
    handle.remove()
    mean, std = seen[0].mean(0), seen[0].std(0).clamp(min=0.5)
    method = Surprise(min_std=0.5)
    method.prepare(model, images.split(5))
    expected = ((seen[0] - mean) / std).square().mean(-1)[:3, 1:].unflatten(1, (4, 4))
    torch.testing.assert_close(method.attribute(model, images[:3]), expected, rtol=1e-4, atol=1e-5)
    assert method.arguments() == {"layer": LAYER, "statistics": None, "min_std": 0.5}


def test_the_parts_of_our_methods_are_at_hand(model, images):
    """Put together by hand, they give the numbers of CoIBA."""
    statistics, targets = tiny.statistics(model, [LAYER]), torch.tensor([1, 5, 8])
    own, ours = CoIBAOfOneLayer(), CoIBA([LAYER], steps=4, copies=2, beta=0.1)
    for method in (own, ours):
        method.set_statistics(model, statistics, ())
    found, expected = (method.explain(model, images[:3], targets) for method in (own, ours))
    assert torch.equal(found.maps, expected.maps)
    assert torch.equal(found.extras["cross_entropy"], expected.extras["cross_entropy"])


def test_without_a_leak_test_no_image_is_read(model, images):
    statistics = replace(tiny.statistics(model, [LAYER]), leak=None)
    assert Surprise().set_statistics(model, statistics, unread()) is statistics


def test_statistics_from_a_file(model, images, tmp_path):
    file = tmp_path / "statistics.safetensors"
    tiny.statistics(model, [LAYER]).save(file)
    given, prepared = Surprise(statistics=str(file)), Surprise()
    given.prepare(model, unread())
    prepared.set_statistics(model, tiny.statistics(model, [LAYER]), ())
    assert torch.equal(given.attribute(model, images), prepared.attribute(model, images))
    with pytest.raises(InputError, match="call prepare"):
        Surprise().attribute(model, images)


def test_it_can_be_copied_and_sent_to_another_process(model, images):
    method = Surprise()
    method.prepare(model, images)
    for other in (copy.deepcopy(method), pickle.loads(pickle.dumps(method))):
        assert torch.equal(other.attribute(model, images), method.attribute(model, images))


@pytest.mark.parametrize("method", [CoIBA, IBA, InputIBA, Surprise])
def test_all_bottlenecks_are_of_one_kind_and_refuse_what_the_base_refuses(method):
    assert isinstance(method(), BottleneckMethod)
    with pytest.raises(InputError, match=r"min_std is 0\.0: give a number above 0"):
        method(min_std=0.0)


@pytest.mark.parametrize("method", [CoIBA, IBA, InputIBA])
def test_a_layer_that_is_not_there_is_refused_before_the_data_is_read(method, model):
    named = method(["blocks.9"]) if method is CoIBA else method("blocks.9")
    with pytest.raises(InputError, match=r"blocks\.9"):
        named.prepare(model, unread())


def test_a_copy_of_the_model_with_other_weights_has_statistics_of_its_own(model, images):
    method = Surprise()
    assert method.of_model(model, unread) is method  # nothing is prepared: it says so when it is asked to explain
    method.prepare(model, images)
    assert method.of_model(model, unread) is method
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.model.blocks[0].mlp.fc1.weight.normal_()
    with pytest.raises(InputError, match="other weights"):
        method.attribute(other, images, 1)
    anew = Surprise()
    anew.prepare(other, images)
    found = method.of_model(other, images)
    assert torch.equal(found.attribute(other, images, 1), anew.attribute(other, images, 1))
    assert method.of_model(other, unread) is found  # once for each model
    assert method.of_model(model, unread) is method


def test_a_copy_of_the_model_has_the_layers_that_the_leak_test_chose(model, images):
    method = CoIBA(copies=2, steps=2)
    method.prepare(model, images)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.model.head.weight.normal_()
    held = method.of_model(other, images)._slot.of(other)
    assert held.leak == method._slot.of(model).leak is not None
    assert held.model != method._slot.of(model).model
