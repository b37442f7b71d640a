"""Norms that are folded into convolutions: the same outputs in fewer steps, and nothing of it is left behind."""

import pytest
import timm
import torch
from torch import nn

from lit_coiba.core.frozen import frozen
from lit_coiba.metrics import Deletion
from lit_coiba.propagation.folded_norms import folded_norms


class Net(nn.Module):
    """Two convolutions with norms; arguments say what stands in the way of the second."""

    def __init__(self, shared=False, twice=False):
        super().__init__()
        self.first, self.one = nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.second, self.two = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6, affine=False)
        self.shared, self.twice = shared, twice

    def forward(self, x):
        x = self.one(self.first(x)).relu_()
        found = self.second(x)
        y = self.two(found)
        y = y + found if self.shared else y
        y = self.two(self.second(y)) if self.twice else y
        return y.mean((2, 3))


def settled(model):
    """In evaluation mode, in double precision, with norms that do something."""
    drawn = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(torch.randn(module.num_features, generator=drawn))
            module.running_var.copy_(torch.rand(module.num_features, generator=drawn) + 0.1)
            if module.affine:
                nn.init.normal_(module.weight, 1.0, 0.3, generator=drawn)
                nn.init.normal_(module.bias, 0.0, 0.3, generator=drawn)
    return model.double().eval()


def images(size=16):
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def folded(model):
    """Norms that are computed by their convolutions now."""
    return [name for name, module in model.named_modules() if "forward" in vars(module)]


@pytest.mark.parametrize("name", ["resnet10t", "tf_efficientnet_lite0", "mobilenetv3_small_050"])
def test_the_same_outputs(name):
    model = settled(timm.create_model(name, num_classes=5))
    with frozen(model), torch.no_grad():
        expected = model(images(64))
        with folded_norms(model):
            assert len(folded(model)) == sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
            assert torch.allclose(model(images(64)), expected, rtol=1e-9, atol=1e-9)
        assert torch.equal(model(images(64)), expected)


@torch.no_grad()
def test_nothing_is_left_behind():
    model = settled(Net())
    named = [*model.named_parameters(), *model.named_buffers()]
    before = {name: (id(tensor), tensor.clone()) for name, tensor in named}
    handle = model.two.register_forward_hook(lambda *_: folded(model).remove("none of these"))
    with pytest.raises(ValueError, match="not in list"), folded_norms(model):
        model(images())
    handle.remove()
    assert folded(model) == []
    after = dict([*model.named_parameters(), *model.named_buffers()])
    assert after.keys() == before.keys()
    assert all(id(after[name]) == place and torch.equal(after[name], was) for name, (place, was) in before.items())


@torch.no_grad()
@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda model: setattr(model, "shared", True), ["one"]),  # the convolution's output is read elsewhere
        (lambda model: setattr(model, "twice", True), ["one"]),  # it runs a second time, on something else
        (lambda model: model.two.train(), ["one"]),
        (lambda model: setattr(model.two, "running_mean", None), ["one"]),
        (lambda model: model.first.register_forward_hook(lambda *_: None), ["two"]),
        (lambda model: model.two.register_forward_pre_hook(lambda *_: None), ["one"]),
        (lambda model: model.half(), []),
        (lambda model: nn.utils.parametrizations.orthogonal(model.first), ["two"]),
        (lambda model: torch.set_grad_enabled(True), []),
    ],
)
def test_what_stands_in_the_way_is_left_alone(change, left):
    model = settled(Net())
    change(model)
    with folded_norms(model):
        assert folded(model) == left


@torch.no_grad()
def test_a_hook_on_a_norm_sees_what_it_saw():
    model, seen = settled(Net()), []
    model.one.register_forward_hook(lambda module, inputs, output: seen.append(output.clone()))
    model(images())
    with folded_norms(model):
        assert "one" in folded(model)
        model(images())
    assert torch.allclose(*seen, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_what_has_changed_meanwhile_counts():
    model = settled(Net())
    with folded_norms(model):
        model(images())
    model.first.weight.mul_(2)
    model.two = nn.Sequential(settled(nn.BatchNorm2d(6)), nn.Sigmoid())
    expected = model(images())
    with folded_norms(model):
        assert folded(model) == ["one", "two.0"]
        assert torch.allclose(model(images()), expected, rtol=1e-9, atol=1e-9)


def test_what_cannot_be_listed_and_what_is_no_module_run_as_they_are():
    class Chooses(Net):
        def forward(self, x):
            return super().forward(x) if x.sum() > 0 else super().forward(-x)

    model = settled(Chooses())
    with torch.no_grad(), folded_norms(model), folded_norms(lambda x: x):
        assert folded(model) == []


@pytest.mark.parametrize("low", [False, True])
def test_scores_are_the_same(low, monkeypatch):
    """In full precision to the last bit; in low precision as near to those of double precision as without folding."""
    model, maps = settled(Net()), torch.rand(2, 16, 16, generator=torch.Generator().manual_seed(2))
    metric, seen = Deletion(steps=8, output="logit"), []
    exact = metric.score(model, images(), None, maps).float()
    model.float().two.register_forward_hook(lambda *_: seen.append(folded(model)))
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        found = metric.score(model, images().float(), None, maps)
        assert (["one", "two"] in seen) is low
        monkeypatch.setattr("lit_coiba.perturbation.many_forwards.folded_norms", lambda model: torch.no_grad())
        seen.clear()
        plain = metric.score(model, images().float(), None, maps)
    assert all(names == [] for names in seen)
    assert torch.allclose(found, exact, rtol=0.03, atol=0.03)
    if not low:
        assert torch.equal(found, plain)
