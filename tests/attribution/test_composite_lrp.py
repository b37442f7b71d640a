import builtins

import pytest
import torch
import torchvision
from torch import nn

from lit_coiba.attribution import CompositeLRP, InputXGradient
from lit_coiba.backbones import Backbone
from lit_coiba.backbones.relevance_graph import relevance_graph
from lit_coiba.contracts import InputError
from tests._testers import tiny
from tests._testers.methods import MethodTester

zennit = pytest.importorskip("zennit", reason="the extra lrp is not installed")
ATTENTION = "CompositeLRP has rules for CNNs, and none for attention: take AttnLRP"


class TestCompositeLRP(MethodTester):
    method = CompositeLRP
    evaluations = (1, 1)
    unsupported = dict.fromkeys(("vit", "registers", "swin"), ATTENTION)


class TestEpsilonPlusFlat(MethodTester):
    method = CompositeLRP
    arguments = {"composite": "epsilon_alpha2_beta1_flat"}  # noqa: RUF012
    unsupported = dict.fromkeys(("vit", "registers", "swin"), ATTENTION)


def unbiased(**arguments) -> Backbone:
    """A ResNet of ReLUs in which nothing adds a constant."""
    model = tiny.resnet(act_layer="relu", **arguments).double()
    for name, tensor in model.state_dict().items():
        if name.endswith(("bias", "running_mean")):
            tensor.zero_()
    return model


def test_epsilon_is_input_times_gradient_and_conserves_the_logit_without_biases():
    model = unbiased()
    images = tiny.images(2, (64, 64)).double()
    lrp = CompositeLRP("epsilon", epsilon=1e-12).attribute(model, images, 3)
    plain = InputXGradient().attribute(model, images, 3)
    assert (lrp - plain).abs().max() < 1e-6 * plain.abs().max()
    with torch.no_grad():
        torch.testing.assert_close(lrp.sum((1, 2)), model(images)[:, 3], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("composite", ["plus", "plus_flat", "alpha2_beta1", "gamma_box"])
def test_other_rules_conserve_too_but_for_what_biases_hold(composite):
    model, images = unbiased(), tiny.images(2, (64, 64)).double()
    with torch.no_grad():
        logits = model(images)[:, 3]
    sums = CompositeLRP(f"epsilon_{composite}").attribute(model, images, 3).sum((1, 2))
    assert ((sums - logits).abs() < 0.2 * logits.abs()).all()


@pytest.mark.parametrize(("name", "size"), [("resnet18", 64), ("tf_efficientnet_lite0", 64), ("efficientnet_b0", 64)])
def test_the_graph_is_the_same_function_without_norms_behind_convolutions(name, size):
    model = Backbone(name, num_classes=5, image_size=size).eval()
    tiny.randomise(model, 0)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    graph = relevance_graph(model, zennit.layer.Sum, "LRP").eval()
    images = tiny.images(2, (size, size))
    with torch.no_grad():
        expected = model(images)
        assert (graph(images) - expected).abs().max() < 1e-4 * expected.abs().max()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in graph.modules())
    assert any(isinstance(module, zennit.layer.Sum) for module in graph.modules())
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())


def test_a_gate_passes_everything_to_what_it_lets_through():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.value, self.gate, self.head = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1), nn.Linear(4 * 16, 3)

        def forward(self, x):
            return self.head((self.value(x) * self.gate(x).sigmoid()).flatten(1))

    model = Backbone.wrap(Gated().double().eval(), num_classes=3, image_size=4)
    images = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    pixels = images.clone().requires_grad_()
    inner = model.model
    logits = inner.head((inner.value(pixels) * inner.gate(images).sigmoid()).flatten(1))
    expected = (images * torch.autograd.grad(logits[:, 1].sum(), pixels)[0]).sum(1)
    # a bias of the value takes its share of the relevance, as in any layer
    found = CompositeLRP("epsilon", epsilon=1e-12).attribute(model, images, 1)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


def test_without_zennit_one_sentence_says_what_to_install(monkeypatch):
    plain = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("zennit"):
            raise ImportError(name)
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match="needs the package zennit: pip install"):
        CompositeLRP().explain(tiny.resnet(), tiny.images(1, (64, 64)))


def test_a_forward_that_depends_on_values_is_refused():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 8)

        def forward(self, x):
            return self.conv(x).flatten(1) if x.sum() > 0 else self.conv(-x).flatten(1)

    model = Backbone.wrap(Branching().eval(), num_classes=2, image_size=8)
    with pytest.raises(InputError, match="cannot list the steps of this model"):
        CompositeLRP().explain(model, torch.rand(1, 3, 8, 8))


@pytest.mark.parametrize(
    ("model", "size"),
    [
        (lambda: Backbone("pvt_v2_b0", num_classes=3, image_size=32), 32),  # attention without one layer for all three
        (lambda: Backbone.wrap(torchvision.models.swin_t(num_classes=3), image_size=64), 64),  # one function
    ],
)
def test_attention_of_any_build_is_refused(model, size):
    with pytest.raises(InputError, match=r"CompositeLRP has (rules for CNNs, and none for attention|no rule)"):
        CompositeLRP().attribute(model().eval(), tiny.images(1, (size, size)), 1)


@pytest.mark.parametrize(
    ("name", "layer"),
    [("convnext_atto", "LayerNorm"), ("resnet50_gn", "GroupNorm"), ("nf_resnet26", "ScaledStdConv2d")],
)
def test_layers_without_a_rule_are_refused(name, layer):
    sizes = {"layers": (1, 1, 1, 1)} if name == "resnet50_gn" else {}
    model = Backbone(name, num_classes=3, timm_kwargs=sizes, image_size=64).eval()
    with pytest.raises(InputError, match=f"CompositeLRP has no rule for {layer}.* .first at model"):
        CompositeLRP().attribute(model, tiny.images(1, (64, 64)), 1)
