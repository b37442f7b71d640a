"""What every metric owes that asks the method again, and a method whose maps are known by hand."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from tests._testers.metrics import CLASSES, SIZE, MetricTester, network, uniform


def gradient(model: Any, images: Tensor, targets: Any) -> Tensor:
    """Sum over the channels of the logit's gradient, with its sign."""
    given = images.detach().clone().requires_grad_(True)
    scores = targets.scored_by("logit").score(model(given))
    return torch.autograd.grad(scores.sum(), given)[0].sum(1)


def input_times_gradient(model: Any, images: Tensor, targets: Any) -> Tensor:
    given = images.detach().clone().requires_grad_(True)
    scores = targets.scored_by("logit").score(model(given))
    return (given * torch.autograd.grad(scores.sum(), given)[0]).sum(1).detach()


def darkness(model: Any, images: Tensor, targets: Any) -> Tensor:
    """A map that no model decides."""
    return -images.mean(1)


class LinearModel(nn.Module):
    """Two logits, 0 and w . x."""

    def __init__(self, size: tuple[int, int] = SIZE, channels: int = 3) -> None:
        super().__init__()
        self.weight = nn.Parameter(uniform(channels, *size, seed=4) - 0.5)

    def forward(self, images: Tensor) -> Tensor:
        score = (self.weight * images).sum((1, 2, 3))
        return torch.stack([torch.zeros_like(score), score], 1)


class ExplainingTester(MetricTester):
    """Inputs as of `FaithfulnessTester`, a method, and ids."""

    method: ClassVar[Any] = staticmethod(gradient)

    def inputs(self, count: int) -> list[Any]:
        images = 2 * uniform(count, 3, *SIZE) - 1
        ids = [f"sample {i}" for i in range(count)]
        return [
            network(),
            images,
            torch.arange(count) % CLASSES,
            uniform(count, 3, 4, seed=1),
            type(self).method,
            ids,
        ]

    def part(self, inputs: Any, rows: slice) -> list[Any]:
        return [value[rows] if isinstance(value, Tensor | list) else value for value in inputs]

    def spoil(self, inputs: list[Any], sample: int) -> None:
        inputs[3][sample] = math.nan

    def test_draws_follow_the_id_and_not_the_place_in_the_batch(self):
        inputs = self.inputs(4)
        turned = [value.flip(0) if isinstance(value, Tensor) else value for value in inputs]
        turned[5] = inputs[5][::-1]
        expected = self.build().score(*inputs)
        torch.testing.assert_close(self.build().score(*turned).flip(0), expected, rtol=1e-9, atol=1e-9)

    def test_a_map_that_is_not_finite_has_no_score(self):
        inputs = self.inputs(3)
        self.spoil(inputs, 1)
        assert self.build().score(*inputs).isnan().tolist() == [False, True, False]

    @pytest.mark.parametrize("interrupted", [False, True])
    def test_the_model_is_left_as_it_was(self, interrupted):
        inputs = self.inputs(2)
        model = inputs[0]
        model[0].training = False
        before = {name: value.clone() for name, value in model.state_dict().items()}
        modes = [module.training for module in model.modules()]
        if interrupted:
            calls = []

            def failing(*args: Any) -> Tensor:
                calls.append(1)
                if len(calls) == 2:
                    raise KeyboardInterrupt
                return gradient(*args)

            inputs[4] = failing
            with pytest.raises(KeyboardInterrupt):
                self.build().score(*inputs)
        else:
            assert not self.build().score(*inputs).requires_grad
        assert [module.training for module in model.modules()] == modes
        assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
        assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
