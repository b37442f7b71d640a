"""What every attribution method owes, whatever it computes.

A test of a method names the method and its arguments, and inherits the rest::

    class TestSaliency(MethodTester):
        method = Saliency
        evaluations = (1, 1)
"""

from __future__ import annotations

import copy
import gc
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
THOROUGH = ("vit", "cnn")  # run every test


class MethodTester:
    """Inputs: the class attributes. Every test runs on a tiny ViT and CNN, the essential ones on all families."""

    method: ClassVar[type[AttributionMethod]]
    arguments: ClassVar[dict[str, Any]] = {}  # few steps are enough here
    class_dependent: ClassVar[bool] = True
    runs_model: ClassVar[bool] = True  # a method that does not cannot fail with it
    follows_precision: ClassVar[bool] = True  # maps of a float64 model are float64
    networks: ClassVar[dict[str, Any]] = FAMILIES
    unsupported: ClassVar[dict[str, str]] = {}  # network -> what the refusal says
    evaluations: ClassVar[tuple[int, int] | None] = None  # images forward and backward for one map, at `arguments`

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        names = [name for name in self.networks if name in THOROUGH and name not in self.unsupported]
        for fixture, chosen in (("model", names), ("family", list(self.networks))):
            if fixture in metafunc.fixturenames:
                metafunc.parametrize(fixture, chosen, indirect=True)

    @pytest.fixture
    def model(self, request: pytest.FixtureRequest) -> Backbone:
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
        name, model = family
        images, targets = self.inputs(model, 2)
        if name in self.unsupported:
            with pytest.raises(InputError, match=self.unsupported[name]) as refusal:
                self.build(model).explain(model, images, targets)
            assert len(str(refusal.value)) < 300
            assert "\n" not in str(refusal.value)
            return
        method, before = self.build(model), state(model)
        together = method.explain(model, images, targets)
        assert together.maps.isfinite().all()
        assert (together.maps.flatten(1).std(1) > 0).all()  # no constant map
        alone = [method.explain(model, images[i : i + 1], targets[i : i + 1]).maps for i in range(2)]
        assert_near(torch.cat(alone), together.maps, 1e-4)
        other = method.explain(model, images, (targets + 1) % tiny.CLASSES).maps
        assert torch.equal(other, together.maps) != self.class_dependent
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

    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
    def test_a_batch_equals_its_images_one_by_one(self, model, dtype, tolerance):
        model = model.to(dtype)
        method, (images, targets) = self.build(model), self.inputs(model)
        together = method.explain(model, images, targets)
        assert together.maps.dtype == (dtype if self.follows_precision else torch.float32)
        for i in range(len(images)):
            alone = method.explain(model, images[i : i + 1], targets[i : i + 1])
            assert_near(together.maps[i], alone.maps[0], tolerance)
            for name, values in alone.extras.items():
                assert_near(together.extras[name][i], values[0], tolerance)

    def test_output_has_the_shape_type_and_device_of_the_contract(self, model):
        method, (images, targets) = self.build(model), self.inputs(model)
        explained = method.explain(model, images, targets)
        assert isinstance(explained, Explanation)
        assert explained.maps.dim() == 3
        assert explained.maps.dtype == torch.float32
        for values in (explained.maps, *explained.extras.values()):
            assert len(values) == len(images)
            assert values.device == images.device
            assert values.isfinite().all()
            assert not values.requires_grad
        assert torch.equal(method.attribute(model, images, targets), explained.maps)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_a_gpu_gives_the_maps_of_the_cpu(self, model):
        method, (images, targets) = self.build(model), self.inputs(model)
        expected = method.explain(model, images, targets).maps
        model = model.cuda()
        found = method.explain(model, images.cuda(), targets.cuda()).maps
        assert found.is_cuda
        assert_near(found.cpu(), expected, 1e-3)

    @pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
    def test_under_autocast_maps_stay_finite_and_single(self, model, low):
        method, (images, targets) = self.build(model), self.inputs(model)
        with torch.autocast("cpu", low):
            explained = method.explain(model, images, targets)
        assert explained.maps.dtype == torch.float32
        assert all(values.isfinite().all() for values in (explained.maps, *explained.extras.values()))

    def test_the_same_call_gives_the_same_numbers(self, model):
        images, targets = self.inputs(model)
        method = self.build(model)
        first = method.explain(model, images, targets)
        torch.manual_seed(12345)
        again = [method.explain(model, images, targets), self.build(model).explain(model, images, targets)]
        for explained in again:
            assert torch.equal(explained.maps, first.maps)
            assert all(torch.equal(explained.extras[name], first.extras[name]) for name in first.extras)

    def test_the_class_makes_a_difference(self, model):
        method, (images, targets) = self.build(model), self.inputs(model)
        first, second = (method.explain(model, images, t).maps for t in (targets, (targets + 1) % tiny.CLASSES))
        difference = (first - second).abs().amax((1, 2)) / first.abs().amax((1, 2))
        assert (difference > 1e-3).all() if self.class_dependent else torch.equal(first, second)

    def test_no_targets_are_the_predicted_classes(self, model):
        method, (images, targets) = self.build(model), self.inputs(model)
        with torch.no_grad():
            predicted = model(images).argmax(-1)
        found = method.explain(model, images).maps
        assert torch.equal(found, method.explain(model, images, predicted).maps)
        assert torch.equal(found, method.explain(model, images, predicted.int()).maps)
        assert not torch.equal(predicted, targets)  # else the test could not fail

    @pytest.mark.parametrize("targets", [torch.tensor([1, 2]), torch.zeros(3), torch.tensor([0, 10, 0])])
    def test_targets_that_are_not_one_class_per_image_are_refused(self, model, targets):
        if not self.class_dependent:
            pytest.skip("the method looks at no targets")
        method, (images, _) = self.build(model), self.inputs(model)
        with pytest.raises(InputError, match="targets"):
            method.explain(model, images, targets)

    @pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
    def test_a_caller_without_gradients_gets_the_same_maps(self, model, around):
        images, targets = self.inputs(model)
        expected = self.build(model).explain(model, images, targets).maps
        with around():
            method, (images, targets) = self.build(model), self.inputs(model)
            assert torch.equal(method.explain(model, images, targets).maps, expected)
        assert torch.equal(method.explain(model, *self.inputs(model)).maps, expected)

    def test_memory_layout_of_the_images_does_not_matter(self, model):
        model = model.double()
        method, (images, targets) = self.build(model), self.inputs(model)
        expected = method.explain(model, images, targets).maps
        for same in (images.to(memory_format=torch.channels_last), images.flip(-1).flip(-1), images.transpose(2, 3).mT):
            assert_near(method.explain(model, same, targets).maps, expected, 1e-10)

    def test_tensors_of_the_caller_are_left_alone(self, model):
        method, (images, targets) = self.build(model), self.inputs(model)
        images.requires_grad_(True)
        before = images.detach().clone(), targets.clone(), images._version, targets._version
        explained = method.explain(model, images, targets)
        after = images.detach(), targets, images._version, targets._version
        assert all(torch.equal(a, b) for a, b in zip(before[:2], after[:2]))
        assert before[2:] == after[2:]
        assert images.grad is None
        assert not explained.maps.requires_grad

    def test_the_model_is_as_it_was_after_success(self, model):
        method, (images, targets) = self.build(model), self.inputs(model)
        expected = method.explain(model, images, targets).maps
        disturb(model)
        before = state(model)
        found = method.explain(model, images, targets).maps
        assert_same_state(state(model), before)
        assert_near(found, expected, 1e-4)  # train flags of the caller make no difference either

    def test_the_model_is_as_it_was_after_an_exception(self, model, monkeypatch):
        if not self.runs_model:
            pytest.skip("the method does not run the model")
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

    def test_arguments_are_plain_values_and_rebuild_the_method(self, model):
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
    def test_an_empty_image_and_a_model_that_sees_nothing_give_finite_maps(self, model):
        images, targets = self.inputs(model)
        images[0] = 0
        assert self.build(model).explain(model, images, targets).maps.isfinite().all()
        with torch.no_grad():
            for parameter in self.failing(model).parameters():
                parameter.zero_()
        explained = self.build(model).explain(model, images, targets)
        for values in (explained.maps, *explained.extras.values()):
            assert values.isfinite().all()

    def test_a_prepared_method_can_be_copied_and_sent_to_another_process(self, model):
        method, (images, targets) = self.build(model), self.inputs(model)
        expected = method.explain(model, images, targets).maps
        for other in (copy.deepcopy(method), pickle.loads(pickle.dumps(method))):
            assert torch.equal(other.explain(model, images, targets).maps, expected)


class CopiesTester(MethodTester):
    """For methods with the option `chunk`, which evaluate many copies of an image."""

    @pytest.mark.parametrize("chunk", [1, 5])
    def test_the_size_of_pieces_does_not_change_the_map(self, model, chunk):
        model = model.double()
        images, targets = self.inputs(model)
        expected = self.build(model).explain(model, images, targets).maps
        assert_near(self.build(model, chunk=chunk).explain(model, images, targets).maps, expected, 1e-10)
        assert self.build(model, chunk=chunk).identity() == self.build(model).identity()

    def test_where_memory_runs_out_the_map_stays_the_same(self, model, monkeypatch):
        model = model.double()
        method, (images, targets) = self.build(model), self.inputs(model)
        expected = method.explain(model, images, targets).maps
        forward = model.model.get_classifier().forward

        def limited(inputs: torch.Tensor) -> torch.Tensor:
            if len(inputs) > 3:
                raise torch.OutOfMemoryError("an artificial limit")
            return forward(inputs)

        monkeypatch.setattr(model.model.get_classifier(), "forward", limited)
        monkeypatch.setattr(gc, "collect", lambda: 0)  # seconds, beside all that a test process holds
        with pytest.warns(UserWarning, match="memory ran out with .* at once: going on with") as told:
            found = method.explain(model, images, targets).maps
        assert len([w for w in told if "memory ran out" in str(w.message)]) == 1
        assert_near(found, expected, 1e-10)
        method.explain(model, images, targets)  # says no more: warnings are errors
