"""What every metric of maps owes, whatever it measures.

A test of a metric names the metric, its arguments and a slow oracle of one sample, and inherits the rest.
"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from lit_coiba.metrics import Metric

SIZE = (6, 9)  # of the images: small, not square
CLASSES = 4


def network(size: tuple[int, int] = SIZE, dtype: torch.dtype = torch.float64) -> nn.Module:
    """A small classifier in training mode, whose batch norm and dropout would make scores depend on the batch."""
    model = nn.Sequential(
        *(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.Tanh(), nn.Dropout(0.5), nn.Flatten()),
        nn.Linear(5 * size[0] * size[1], CLASSES),
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model.to(dtype).train()


def uniform(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class MetricTester:
    """Inputs: `metric`, `arguments`, `inputs(count)` and `oracle(*inputs of one sample)`."""

    metric: ClassVar[type[Metric]]
    arguments: ClassVar[dict[str, Any]] = {}
    oracle: Callable[..., float]
    spoilt: ClassVar[float | bool] = math.nan  # as a sample of the last input, maps or regions: undefined

    def inputs(self, count: int) -> list[Any]:
        raise NotImplementedError

    def part(self, inputs: Sequence[Any], rows: slice) -> list[Any]:
        return [value[rows] if isinstance(value, Tensor) else value for value in inputs]

    def spoil(self, inputs: list[Any], sample: int) -> None:
        """Let a sample have no score."""
        inputs[-1][sample] = self.spoilt

    def build(self, **arguments: Any) -> Any:
        return self.metric(**{**self.arguments, **arguments})

    def test_scores_are_those_of_the_slow_oracle(self):
        inputs = self.inputs(8)
        expected = [self.oracle(*self.part(inputs, slice(i, i + 1))) for i in range(8)]
        assert self.build().score(*inputs).tolist() == pytest.approx(expected, rel=1e-10, abs=1e-12, nan_ok=True)
        assert len(set(expected)) > 1  # else the test says little

    def test_a_batch_equals_its_samples_one_by_one(self):
        inputs = self.inputs(5)
        alone = [self.build().score(*self.part(inputs, slice(i, i + 1))) for i in range(5)]
        torch.testing.assert_close(self.build().score(*inputs), torch.cat(alone), rtol=1e-12, atol=1e-12)

    def test_uneven_splits_add_up_to_one(self):
        inputs = self.inputs(7)
        self.spoil(inputs, 2)
        whole = self.build(keep_samples=True)
        whole.update(*inputs)
        first, second, idle = (self.build(keep_samples=True) for _ in range(3))
        first.update(*self.part(inputs, slice(0, 4)))
        first.update(*self.part(inputs, slice(4, 5)))
        second.update(*self.part(inputs, slice(5, 7)))
        for other in (second, idle):
            first.merge_state(other)
        assert (first.count, first.undefined) == (whole.count, whole.undefined) == (6, 1)
        assert first.compute().item() == pytest.approx(whole.compute().item(), rel=1e-14)
        scores = self.build().score(*inputs)
        assert whole.compute().item() == pytest.approx(scores[~scores.isnan()].mean().item(), rel=1e-14)
        assert sorted(first.samples().nan_to_num(-9).tolist()) == sorted(scores.float().nan_to_num(-9).tolist())

    def test_inputs_are_left_alone(self):
        inputs = self.inputs(3)
        before = [(v.clone(), v._version) for v in inputs if isinstance(v, Tensor)]
        self.build().update(*inputs)
        after = [(v, v._version) for v in inputs if isinstance(v, Tensor)]
        assert all(torch.equal(a[0], b[0]) and a[1] == b[1] for a, b in zip(after, before))

    def test_the_same_call_gives_the_same_numbers(self):
        inputs, metric = self.inputs(3), self.build()
        state = torch.get_rng_state()
        expected = metric.score(*inputs)
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.equal(metric.score(*inputs), expected)
        assert torch.equal(pickle.loads(pickle.dumps(metric)).score(*inputs), expected)

    def test_forward_gives_the_mean_of_the_batch_and_goes_on_adding(self):
        metric, inputs = self.build(), self.inputs(5)
        first = metric(*self.part(inputs, slice(0, 2)))
        metric.update(*self.part(inputs, slice(2, 5)))
        scores = metric.score(*inputs)
        assert first.item() == pytest.approx(scores[:2].mean().item())
        assert metric.compute().item() == pytest.approx(scores.mean().item())

    def test_settings_are_plain_values_and_rebuild_the_metric(self):
        settings = json.loads(json.dumps(self.build().settings()))
        again = self.metric(**settings)
        assert json.loads(json.dumps(again.settings())) == settings
        inputs = self.inputs(2)
        assert torch.equal(again.score(*inputs), self.build().score(*inputs))

    def test_half_precision_around_it_does_not_reach_the_sums(self):
        metric = self.build()
        metric.half().update(*self.inputs(2))
        assert metric.compute().dtype == torch.float64


class LocalisationTester(MetricTester):
    """Maps coarser than the regions."""

    spoilt = False

    def inputs(self, count: int) -> list[Any]:
        maps = uniform(count, 3, 4) - 0.3
        regions = uniform(count, *SIZE, seed=1) < 0.4
        return [maps, regions]

    def test_an_empty_region_has_no_score_and_is_counted(self):
        maps, regions = self.inputs(3)
        regions[1] = False
        metric = self.build()
        metric.update(maps, regions)
        assert metric.score(maps, regions).isnan().tolist() == [False, True, False]
        assert (metric.count.item(), metric.undefined.item()) == (2, 1)

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_a_map_that_is_not_finite_has_no_score(self, value):
        maps, regions = self.inputs(3)
        maps[0, 1, 1] = value
        assert self.build().score(maps, regions).isnan().tolist() == [True, False, False]

    def test_a_map_of_the_object_beats_a_random_one(self):
        regions = self.inputs(8)[1]
        best, worst = self.build(), self.build()
        best.update(regions.double(), regions)
        worst.update(uniform(8, *SIZE, seed=5), regions)
        assert best.compute() == 1 > worst.compute()


class FaithfulnessTester(MetricTester):
    """Maps coarser than the images, of a network with batch norm and dropout in training mode."""

    size: ClassVar[tuple[int, int]] = SIZE

    def inputs(self, count: int) -> list[Any]:
        images = 2 * uniform(count, 3, *self.size) - 1
        return [network(self.size), images, torch.arange(count) % CLASSES, uniform(count, 3, 4, seed=1)]

    def test_no_targets_are_the_predicted_classes(self):
        model, images, targets, maps = self.inputs(4)
        with torch.no_grad():
            predicted = model.eval()(images).argmax(1)
        assert not torch.equal(predicted, targets)
        found = self.build().score(model, images, None, maps)
        assert torch.equal(found, self.build().score(model, images, predicted, maps))
        assert not torch.equal(found, self.build().score(model, images, targets, maps))

    def test_the_model_is_left_as_it_was(self):
        model, images, targets, maps = self.inputs(2)
        model[0].training = False
        before = {name: value.clone() for name, value in model.state_dict().items()}
        modes = [module.training for module in model.modules()]
        images.requires_grad_(True)
        assert not self.build().score(model, images, targets, maps).requires_grad
        assert [module.training for module in model.modules()] == modes
        assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
        assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())

    def test_a_map_that_is_not_finite_has_no_score(self):
        model, images, targets, maps = self.inputs(3)
        maps[1, 0, 0] = math.nan
        assert self.build().score(model, images, targets, maps).isnan().tolist() == [False, True, False]
