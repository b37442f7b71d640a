import random

import numpy as np
import pytest
import torch
from torch import nn

from lit_coiba.core.frozen import frozen, preserve_state


@pytest.fixture
def module():
    built = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    built[1].eval()
    built[2].weight.requires_grad_(False)
    return built


def flags(module):
    return [m.training for m in module.modules()], [p.requires_grad for p in module.parameters()]


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("context", [frozen, preserve_state])
def test_flags_are_given_back(module, context, fails):
    before = flags(module)
    with pytest.raises(RuntimeError) if fails else torch.enable_grad(), context(module):
        assert flags(module) == ([False] * 4, [False] * 6)
        module[0].train()
        if fails:
            raise RuntimeError
    assert flags(module) == before


@pytest.mark.parametrize("outer", [torch.no_grad, torch.inference_mode])
def test_autograd_is_on_inside(module, outer):
    with outer(), frozen(module):
        inputs = torch.ones(4, 2, requires_grad=True)
        (gradient,) = torch.autograd.grad(module(inputs).sum(), inputs)
    assert gradient.shape == (4, 2)


def test_a_backward_inside_reaches_the_images_and_no_weight(module):
    images = torch.ones(4, 2, requires_grad=True)
    with frozen(module):
        module(images).sum().backward()
    assert images.grad is not None
    assert all(parameter.grad is None for parameter in module.parameters())
    assert module[1].num_batches_tracked == 0


def test_frozen_within_frozen(module):
    before = flags(module)
    with frozen(module):
        with frozen(module):
            pass
        assert flags(module) == ([False] * 4, [False] * 6)
    assert flags(module) == before


def test_a_callable_that_is_no_module_is_left_alone():
    with frozen(len):
        assert torch.is_grad_enabled()


class TestUntouched:
    @pytest.mark.parametrize("fails", [False, True])
    def test_gradients_are_given_back(self, module, fails):
        given = torch.ones(3, 2)
        module[0].weight.grad = given
        with pytest.raises(RuntimeError) if fails else torch.enable_grad(), preserve_state(module):
            assert module[0].weight.grad is None
            module[0].bias.grad = torch.ones(3)
            if fails:
                raise RuntimeError
        assert module[0].weight.grad is given
        assert module[0].bias.grad is None
        torch.testing.assert_close(given, torch.ones(3, 2))

    @pytest.mark.parametrize("fails", [False, True])
    def test_random_states_are_given_back(self, module, fails):
        def draw():
            return torch.rand(1).item(), random.random(), np.random.rand()  # noqa: NPY002

        torch.manual_seed(3)
        random.seed(3)
        np.random.seed(3)  # noqa: NPY002
        states = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002
        expected = draw()
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        np.random.set_state(states[2])  # noqa: NPY002
        with pytest.raises(RuntimeError) if fails else torch.enable_grad(), preserve_state(module):
            draw()
            torch.manual_seed(9)
            if fails:
                raise RuntimeError
        assert draw() == expected

    def test_the_device_is_given_back(self):
        """The meta device stands in for an accelerator."""
        module = nn.Linear(2, 3, device="meta")
        module.weight.grad = given = torch.ones(3, 2, device="meta")
        with preserve_state(module):
            module.to_empty(device="cpu")
        assert {parameter.device.type for parameter in module.parameters()} == {"meta"}
        assert module.weight.grad is given

    def test_a_module_without_parameters_will_do(self):
        with preserve_state(nn.Identity()) as nothing:
            assert nothing is None
