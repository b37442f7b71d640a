"""What every attribution method owes, whatever it computes.

A test of a method names the method and its arguments, and inherits the rest::

    class TestSaliency(MethodTester):
        method = Saliency
        evaluations = (1, 1)

What `AttributionMethod.explain` does for all of them (checks, frozen models, targets, what is handed out) is tested
once, in tests/core/test_method.py; `StateTester` looks at it again, through one real method of each way to meddle with
a model.
"""

from __future__ import annotations

import json
import pickle
import warnings
from inspect import signature
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod
from tests._testers import tiny
from tests._testers.model_state import Bomb, assert_near, assert_same_state, disturb, state

FAMILIES = {"vit": tiny.vit, "cnn": tiny.resnet, "registers": tiny.vit_with_registers, "swin": tiny.swin}
THOROUGH = ("vit", "cnn")  # what depends on the kind of network is tested on both


class MethodTester:
    """Inputs: the class attributes. Fixtures: `family` is every network, `model` a tiny ViT and CNN, `one` of them."""

    method: ClassVar[type[AttributionMethod]]
    arguments: ClassVar[dict[str, Any]] = {}  # few steps are enough here
    class_dependent: ClassVar[bool] = True
    follows_precision: ClassVar[bool] = True  # maps of a float64 model are float64
    networks: ClassVar[dict[str, Any]] = FAMILIES
    unsupported: ClassVar[dict[str, str]] = {}  # network -> what the refusal says
    evaluations: ClassVar[tuple[int, int] | None] = None  # images forward and backward for one map, at `arguments`

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        names = [name for name in self.networks if name in THOROUGH and name not in self.unsupported]
        for fixture, chosen in (("model", names), ("one", names[:1]), ("family", list(self.networks))):
            if fixture in metafunc.fixturenames:
                metafunc.parametrize(fixture, chosen, indirect=True)

    @pytest.fixture
    def model(self, request: pytest.FixtureRequest) -> Backbone:
        return self.networks[request.param]()

    @pytest.fixture
    def one(self, request: pytest.FixtureRequest) -> Backbone:
        return self.networks[request.param]()

    @pytest.fixture
    def family(self, request: pytest.FixtureRequest) -> tuple[str, Backbone]:
        return request.param, self.networks[request.param]()

    def build(self, model: Backbone, **arguments: Any) -> AttributionMethod:
        """An instance that is prepared for `model`."""
        method = self.method(**{**self.arguments, **arguments})
        images = tiny.images(24, model.preprocessing.size, seed=7)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*survive pure noise.*")  # random weights leak as they like
            method.prepare(model, images.to(next(model.parameters())).split(12))
        return method

    def failing(self, model: Backbone) -> nn.Module:
        """A module that the method runs, and that is made to fail."""
        return model.model.get_classifier()

    def inputs(self, model: Backbone, count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
        images = tiny.images(count, model.preprocessing.size, seed=3)
        return images.to(next(model.parameters())), torch.arange(count) * 4 % tiny.CLASSES

    def test_every_family_is_explained_or_refused_in_one_sentence(self, family):
        """A batch equals its images one by one, the class makes a difference, and the model is as it was."""
        name, model = family
        model = model.double()
        images, targets = self.inputs(model, 2)
        if name in self.unsupported:
            with pytest.raises(InputError, match=self.unsupported[name]) as refusal:
                self.build(model).explain(model, images, targets)
            assert len(str(refusal.value)) < 300
            assert "\n" not in str(refusal.value)
            return
        method, before = self.build(model), state(model)
        together = method.explain(model, images, targets)
        assert together.maps.dtype == (torch.float64 if self.follows_precision else torch.float32)
        assert (together.maps.flatten(1).std(1) > 0).all()  # no constant map
        for i in range(2):
            alone = method.explain(model, images[i : i + 1], targets[i : i + 1])
            assert_near(alone.maps[0], together.maps[i], 1e-10)
            for extra, values in alone.extras.items():
                assert_near(values[0], together.extras[extra][i], 1e-10)
        other = method.explain(model, images, (targets + 1) % tiny.CLASSES).maps
        difference = (other - together.maps).abs().amax((1, 2)) / together.maps.abs().amax((1, 2))
        assert (difference > 1e-3).all() if self.class_dependent else torch.equal(other, together.maps)
        assert_same_state(state(model), before)

    def test_the_card_tells_what_the_method_is(self):
        card = self.method.card
        assert card.class_dependent == self.class_dependent
        assert card.baseline or card.paper
        assert card.cost != "not stated"
        families = {"cnn": "CNN", "vit": "ViT", "registers": "ViT", "swin": "Swin"}
        assert set(card.families) == {family for name, family in families.items() if name not in self.unsupported}

    def test_it_costs_what_it_is_said_to_cost(self, model):
        if self.evaluations is None:
            pytest.skip("the cost depends on the images")
        method, (images, targets) = self.build(model), self.inputs(model, 2)
        counts = [0, 0]

        def count(_: nn.Module, __: Any, output: torch.Tensor) -> None:
            counts[0] += len(output)
            if output.requires_grad:
                output.register_hook(lambda gradient: counts.__setitem__(1, counts[1] + len(gradient)))

        handle = model.model.get_classifier().register_forward_hook(count)
        method.explain(model, images, targets)  # the model is looked at first, once
        counts[:] = 0, 0
        method.explain(model, images, targets)
        handle.remove()
        assert (counts[0] / 2, counts[1] / 2) == self.evaluations

    @pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
    def test_under_autocast_maps_stay_finite_and_single(self, model, low):
        method, (images, targets) = self.build(model), self.inputs(model)
        with torch.autocast("cpu", low):
            explained = method.explain(model, images, targets)
        assert explained.maps.dtype == torch.float32
        assert all(values.isfinite().all() for values in (explained.maps, *explained.extras.values()))

    def test_the_same_call_gives_the_same_numbers(self, one):
        """Also from another instance, and after a trip to another process."""
        method, (images, targets) = self.build(one), self.inputs(one)
        first = method.explain(one, images, targets)
        assert first.maps.dtype == torch.float32
        assert all(len(values) == 3 and values.isfinite().all() for values in (first.maps, *first.extras.values()))
        torch.manual_seed(12345)
        for other in (method, self.build(one), pickle.loads(pickle.dumps(method))):
            again = other.explain(one, images, targets)
            assert torch.equal(again.maps, first.maps)
            assert all(torch.equal(again.extras[name], first.extras[name]) for name in first.extras)

    def test_memory_layout_of_the_images_does_not_matter(self, model):
        model = model.double()
        method, (images, targets) = self.build(model), self.inputs(model)
        expected = method.explain(model, images, targets).maps
        for same in (images.to(memory_format=torch.channels_last), images.transpose(2, 3).contiguous().mT):
            assert_near(method.explain(model, same, targets).maps, expected, 1e-10)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_a_gpu_gives_the_maps_of_the_cpu(self, model):
        method, (images, targets) = self.build(model), self.inputs(model)
        expected = method.explain(model, images, targets).maps
        model = model.cuda()
        found = method.explain(model, images.cuda(), targets.cuda())
        assert all(values.is_cuda for values in (found.maps, *found.extras.values()))
        assert_near(found.maps.cpu(), expected, 1e-3)

    def test_arguments_are_plain_values_and_rebuild_the_method(self):
        method = self.method(**self.arguments)
        arguments = json.loads(json.dumps(method.arguments()))
        assert ("chunk" in arguments) == isinstance(self, CopiesTester)
        assert {name: arguments[name] for name in self.arguments} == self.arguments
        assert type(method)(**arguments).arguments() == method.arguments()

    def test_counts_that_are_no_whole_numbers_are_refused(self):
        counts = [
            name
            for name, parameter in signature(self.method).parameters.items()
            if str(parameter.annotation).startswith("int") and name != "seed"
        ]
        for name in counts:
            for value in (2.5, True, -1):
                with pytest.raises(InputError, match=rf"\b{name} is {value}") as refusal:
                    self.method(**{**self.arguments, name: value})
                assert "\n" not in str(refusal.value)

    @pytest.mark.filterwarnings("ignore:the bounds of")
    def test_an_empty_image_and_a_model_that_sees_nothing_give_finite_maps(self, one):
        images, targets = self.inputs(one)
        images[0] = 0
        assert self.build(one).explain(one, images, targets).maps.isfinite().all()
        with torch.no_grad():
            for parameter in self.failing(one).parameters():
                parameter.zero_()
        explained = self.build(one).explain(one, images, targets)
        for values in (explained.maps, *explained.extras.values()):
            assert values.isfinite().all()


class CopiesTester(MethodTester):
    """For methods with the option `chunk`, which evaluate many copies of an image."""

    @pytest.mark.parametrize("chunk", [1, 4])
    def test_the_size_of_pieces_does_not_change_the_map(self, one, chunk):
        one = one.double()
        images, targets = self.inputs(one)
        expected = self.build(one).explain(one, images, targets).maps
        method, sizes = self.build(one, chunk=chunk), []
        one.model.get_classifier().register_forward_hook(lambda _, __, output: sizes.append(len(output)))
        assert_near(method.explain(one, images, targets).maps, expected, 1e-10)
        assert max(sizes) <= max(chunk, len(images))  # nothing that is copied runs beside the pieces
        assert method.identity() == self.build(one).identity()


class StateTester(MethodTester):
    """For one method of each kind that looks into a model or changes it: by layers, hooks, modules, operations."""

    def test_the_model_is_as_it_was_after_success(self, model):
        method, (images, targets) = self.build(model), self.inputs(model)
        expected = method.explain(model, images, targets).maps
        disturb(model)
        before = state(model)
        found = method.explain(model, images, targets).maps
        assert_same_state(state(model), before)
        assert_near(found, expected, 1e-4)  # train flags of the caller make no difference either

    def test_the_model_is_as_it_was_after_an_exception(self, model, monkeypatch):
        method, (images, targets) = self.build(model), self.inputs(model)
        disturb(model)
        bomb = Bomb(self.failing(model))
        monkeypatch.setattr(self.failing(model), "forward", bomb)
        method.explain(model, images, targets)  # the model is looked at first, once
        bomb.calls = 0
        method.explain(model, images, targets)
        for fuse in sorted({1, bomb.calls}):  # in the first pass and in the last
            bomb.calls, bomb.fuse = 0, fuse
            before = state(model)
            with pytest.raises(RuntimeError, match="the model failed"):
                method.explain(model, images, targets)
            assert_same_state(state(model), before)
        bomb.fuse = None
        method.explain(model, images, targets)

    @pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
    def test_a_caller_without_gradients_gets_the_same_maps(self, one, around):
        images, targets = self.inputs(one)
        expected = self.build(one).explain(one, images, targets)
        assert isinstance(expected, Explanation)
        with around():
            method, (images, targets) = self.build(one), self.inputs(one)
            assert torch.equal(method.explain(one, images, targets).maps, expected.maps)
        assert torch.equal(method.explain(one, *self.inputs(one)).maps, expected.maps)

    def test_tensors_of_the_caller_are_left_alone(self, one):
        method, (images, targets) = self.build(one), self.inputs(one)
        images.requires_grad_(True)
        before = images.detach().clone(), targets.clone(), images._version, targets._version
        explained = method.explain(one, images, targets)
        after = images.detach(), targets, images._version, targets._version
        assert all(torch.equal(a, b) for a, b in zip(before[:2], after[:2]))
        assert before[2:] == after[2:]
        assert images.grad is None
        assert not explained.maps.requires_grad
