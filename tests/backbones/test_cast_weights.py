"""Weights that are cast once: the numbers of autocast, and every module has its own back."""

from contextlib import nullcontext

import pytest
import torch

from lit_coiba.attribution import CoIBA
from lit_coiba.backbones import chain_split
from lit_coiba.backbones.cast_weights import cast_weights
from tests._testers import tiny
from tests._testers.model_state import assert_same_state, state


@pytest.mark.parametrize("build", [tiny.vit, tiny.resnet, tiny.swin])
@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
def test_forward_and_backward_are_those_of_autocast_and_the_model_stays(build, low):
    model, images = build().requires_grad_(False), tiny.images(2, build().preprocessing.size)
    before = state(model)
    found = []
    for cast in (False, True):
        leaf = images.clone().requires_grad_(True)
        with torch.autocast("cpu", low):
            if cast:
                with cast_weights(model):
                    kinds = {p.dtype for m in model.modules() if type(m) is torch.nn.Linear for p in m.parameters()}
                    logits = model.model(leaf)
                assert kinds <= {low}
            else:
                logits = model.model(leaf)
        found.append((logits, torch.autograd.grad(logits.float().sum(), leaf)[0]))
    assert all(torch.equal(one, other) for one, other in zip(*found))
    assert_same_state(state(model), before)
    with cast_weights(model):  # no autocast: nothing is done
        assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_a_model_has_its_weights_back_after_an_error():
    model = tiny.vit()
    own = [id(parameter) for parameter in model.parameters()]

    def fail():
        with torch.autocast("cpu", torch.bfloat16), cast_weights(model):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [id(parameter) for parameter in model.parameters()] == own


def test_coiba_under_autocast_has_the_same_map(monkeypatch):
    model, images = tiny.vit(), tiny.images(2, (32, 32))
    method = CoIBA(steps=3, copies=2)
    layers = method.statistics_layers(model)
    method.set_statistics(model, tiny.statistics(model, layers), ())
    found = []
    for one in (cast_weights, lambda _: nullcontext()):
        monkeypatch.setattr(chain_split, "cast_weights", one)
        with torch.autocast("cpu", torch.bfloat16):
            found.append(method.explain(model, images, 1).maps)
    assert torch.equal(*found)
