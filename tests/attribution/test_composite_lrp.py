import builtins

import pytest
import timm
import torch
import torchvision
from torch import nn

from lit_coiba.attribution import CompositeLRP
from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.propagation.relevance_graph import relevance_graph
from lit_coiba.propagation.relevance_steps import Sum
from tests._testers import tiny
from tests._testers.methods import MethodTester, StateTester
from tests._testers.steps import Called, Overwriting

zennit = pytest.importorskip("zennit", reason="the extra lrp is not installed")
ATTENTION = "CompositeLRP has rules for CNNs, but none for attention: use AttnLRP"


class TestCompositeLRP(StateTester):
    method = CompositeLRP
    evaluations = (1, 1)
    unsupported = dict.fromkeys(("vit", "registers", "swin"), ATTENTION)


class TestEpsilonPlusFlat(MethodTester):
    method = CompositeLRP
    arguments = {"composite": "epsilon_alpha2_beta1_flat"}  # noqa: RUF012
    unsupported = dict.fromkeys(("vit", "registers", "swin"), ATTENTION)


def without_constants(model: Backbone) -> Backbone:
    """The same network in which nothing adds a constant, with weights that let logits be far from zero."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if name.endswith(("bias", "running_mean")):
            tensor.zero_()
        elif tensor.dim() > 1:
            tensor.normal_(0, 1.3 * tensor[0].numel() ** -0.5, generator=generator)
        elif name.endswith(("running_var", "weight", "scale")):
            tensor.fill_(1)
    return model.double().eval()


def unbiased(**arguments) -> Backbone:
    """A ResNet of ReLUs in which nothing adds a constant."""
    model = tiny.resnet(act_layer="relu", **arguments).double()
    for name, tensor in model.state_dict().items():
        if name.endswith(("bias", "running_mean")):
            tensor.zero_()
    return model


class Pooled(nn.Module):
    """Pre-activation, concatenation, differences, scales, and one way or another to pool."""

    def __init__(self, pool):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.left, self.right, self.head = nn.Conv2d(6, 6, 1), nn.Conv2d(6, 6, 1), nn.Linear(12, 5)
        self.scale, self.pool = nn.Parameter(torch.ones(6, 1, 1)), pool

    def forward(self, x):
        x = self.conv(x)
        y = nn.functional.relu(self.norm(x)) * self.scale
        y = torch.cat([self.left(y) - 0.5 * self.right(y), -y.neg() / 3 + torch.add(x, y, alpha=0.3)], 1)
        y = nn.functional.max_pool2d(nn.functional.relu(y), 2)
        return self.head(self.pool(y).flatten(1))


POOLS = {
    "module": nn.AdaptiveAvgPool2d(1),
    "mean": lambda x: x.mean((2, 3)),
    "mean of the last axes": lambda x: torch.mean(x, dim=(-1, -2), keepdim=True),
    "sum": lambda x: x.sum((2, 3)),
    "adaptive": lambda x: nn.functional.adaptive_avg_pool2d(x, 1),
    "in two steps": lambda x: nn.functional.avg_pool2d(nn.functional.avg_pool2d(x, 2), 2),
    "interpolated": lambda x: nn.functional.interpolate(x, (3, 3), mode="bilinear").mean((2, 3)),
    "largest": lambda x: x.amax((2, 3)),
}
NETWORKS = {f"pooled by {name}": (lambda pool=pool: (Pooled(pool), 8)) for name, pool in POOLS.items()} | {
    "torchvision's DenseNet": lambda: (torchvision.models.DenseNet(8, (2, 2), 8, num_classes=5), 64),
    "torchvision's ShuffleNet": lambda: (torchvision.models.shufflenet_v2_x0_5(num_classes=5), 64),
    "torchvision's MNASNet": lambda: (torchvision.models.mnasnet0_5(num_classes=5), 64),
    "torchvision's SqueezeNet": lambda: (torchvision.models.squeezenet1_1(num_classes=5), 64),
    "torchvision's ResNet": lambda: (torchvision.models.resnet18(num_classes=5), 64),
    "timm's ResNet": lambda: (timm.create_model("resnet10t", num_classes=5), 64),
    "timm's ResNet v2": lambda: (timm.create_model("resnetv2_18", num_classes=5), 64),
    "timm's Inception": lambda: (timm.create_model("inception_v3", num_classes=5), 96),
    "timm's RepVGG": lambda: (timm.create_model("repvgg_a0", num_classes=5), 64),
    "timm's blurred ResNet": lambda: (timm.create_model("resnetblur18", num_classes=5), 64),
}


@pytest.mark.filterwarnings("ignore:.* returns numbers between 0 and 1")  # logits of random weights
@pytest.mark.parametrize("network", NETWORKS)
def test_epsilon_is_input_times_gradient_and_conserves_the_logit_without_biases(network):
    module, size = NETWORKS[network]()
    model = without_constants(Backbone.wrap(module, image_size=size, num_classes=5))
    images = tiny.images(1, (size, size)).double()
    pixels = images.clone().requires_grad_()
    logit = module(pixels)[:, 3]
    expected = (images * torch.autograd.grad(logit.sum(), pixels)[0]).sum(1)
    found = CompositeLRP("epsilon", epsilon=1e-12).attribute(model, images, 3)
    assert (found - expected).abs().max() < 1e-6 * expected.abs().max()
    torch.testing.assert_close(found.sum((1, 2)), logit.detach(), rtol=1e-6, atol=1e-9)


class Twice(nn.Module):
    """A layer that runs again behind itself, with other norms and sizes."""

    def __init__(self, steps):
        super().__init__()
        self.conv, self.again, self.head = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1), nn.Linear(6, 5)
        self.norm, self.other, self.pool, self.steps = nn.BatchNorm2d(6), nn.BatchNorm2d(6), nn.AvgPool2d(2), steps

    def forward(self, x):
        return self.head(self.steps(self, self.conv(x).relu()).mean((2, 3)))


AGAIN = {
    "a convolution": lambda net, x: net.again(net.again(x).relu()).relu(),
    "a convolution with two norms": lambda net, x: (net.norm(net.again(x)) + net.other(net.again(2 * x))).relu(),
    "a norm": lambda net, x: net.norm(net.again(net.norm(x).relu())).relu(),
    "a pool": lambda net, x: net.pool(net.again(net.pool(x)).relu()),
    "a norm of all features": lambda net, x: net.norm(x).relu() + net.other(x).relu(),
    "named operands": lambda net, x: torch.add(input=x, other=net.again(x), alpha=0.5).relu(),
}


@pytest.mark.parametrize("steps", AGAIN)
def test_epsilon_is_input_times_gradient_with_biases_too_however_often_a_layer_runs(steps):
    model = Backbone.wrap(Twice(AGAIN[steps]).double(), image_size=8, num_classes=5).eval()
    tiny.randomise(model, 0)
    images = tiny.images(1, (8, 8)).double()
    pixels = images.clone().requires_grad_()
    expected = (images * torch.autograd.grad(model(pixels)[0, 3], pixels)[0]).sum(1)
    found = CompositeLRP("epsilon", epsilon=1e-12).attribute(model, images, 3)
    assert (found - expected).abs().max() < 1e-6 * expected.abs().max()


class Cosine(nn.Linear):
    def forward(self, x):
        return super().forward(nn.functional.normalize(x, dim=-1))


class Doubled(nn.BatchNorm2d):
    def forward(self, x):
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        (nn.Sequential(nn.Flatten(), Cosine(192, 5)), "Cosine"),
        (nn.Sequential(nn.Conv2d(3, 3, 1), Doubled(3)), "Doubled"),
        (torch.nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 3, 1)), "ParametrizedConv2d"),
    ],
)
def test_layers_that_compute_otherwise_than_their_bases_are_refused(layer, what):
    model = Backbone.wrap(nn.Sequential(layer, nn.Flatten()).eval(), image_size=8)
    with pytest.raises(InputError, match=f"CompositeLRP does not support {what} .at model"):
        CompositeLRP("epsilon").attribute(model, tiny.images(1, (8, 8)), 1)


@pytest.mark.parametrize(
    ("function", "name"),
    [(lambda x: (2**x).mean((2, 3)), "pow"), (lambda x: (1 / (1 + x)).mean((2, 3)), "truediv")],
)
def test_constants_over_or_to_the_power_of_a_tensor_are_refused(function, name):
    model = Backbone.wrap(Pooled(function).eval(), image_size=8, num_classes=5)
    with pytest.raises(InputError, match=f"CompositeLRP does not support torch's {name} .at model.: take"):
        CompositeLRP("epsilon").attribute(model, tiny.images(1, (8, 8)), 1)


class StarReLU(nn.Module):
    """``s relu(x)^2 + b``, with numbers that are learned."""

    def __init__(self):
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.tensor(0.9)), nn.Parameter(torch.tensor(0.1))

    def forward(self, x):
        return self.scale * nn.functional.relu(x) ** 2 + self.shift


@pytest.mark.parametrize(
    "activation",
    [
        *(nn.Mish(), nn.SiLU(inplace=True), nn.Hardswish(), nn.ReLU6(), nn.Tanh(), nn.GELU(), nn.PReLU(6)),
        *(timm.layers.HardMish(), timm.layers.Mish(), timm.layers.Swish(inplace=True), StarReLU()),
        *map(Called, (nn.functional.silu, torch.tanh, lambda x: x * x.sigmoid(), lambda x: x.sigmoid() * x)),
        Called(lambda x: x * nn.functional.adaptive_avg_pool2d(x, 1).sigmoid()),
        Called(lambda x: x.mean((2, 3), keepdim=True).sigmoid().expand_as(x) * x),
        Called(lambda x: (nn.functional.relu6(x.mean((2, 3), keepdim=True) + 3) / 6) * x),
        Called(lambda x: (1 + x) - 1),
    ],
    ids=lambda activation: type(activation).__name__,
)
def test_activations_and_gates_pass_on_what_they_get(activation):
    net = nn.Sequential(nn.Conv2d(3, 6, 3), activation, nn.Conv2d(6, 4, 3), nn.Flatten(), nn.Linear(64, 3))
    for layer in (net[0], net[2], net[4]):
        nn.init.zeros_(layer.bias)
    model, images = Backbone.wrap(net.double().eval(), image_size=8, num_classes=3), tiny.images(2, (8, 8)).double()
    with torch.no_grad():
        logits = model(images)[:, 1]
    for composite in ("epsilon", "epsilon_gamma_box"):
        found = CompositeLRP(composite, epsilon=1e-12).attribute(model, images, 1).sum((1, 2))
        torch.testing.assert_close(found, logits, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "activation", [nn.ReLU(inplace=True), Called(torch.relu_), Called(lambda x: nn.functional.silu(x, inplace=True))]
)
def test_a_tensor_that_is_changed_in_place_and_used_again_is_refused(activation):
    model = Backbone.wrap(Overwriting(activation).eval(), image_size=8, num_classes=5)
    with pytest.raises(InputError, match=r"in place into a tensor that is used again .*: build the model with inplace"):
        CompositeLRP().attribute(model, tiny.images(1, (8, 8)), 1)


@pytest.mark.parametrize(
    ("operation", "what"),
    [
        (torch.exp, "torch's exp"),
        (nn.Softmax(1), "Softmax .at model.operation."),
    ],
)
def test_a_step_without_a_rule_is_refused_by_its_name(operation, what):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.operation, self.head = operation, nn.Linear(192, 5)

        def forward(self, x):
            return self.head(self.operation(x).flatten(1))

    model = Backbone.wrap(Model().eval(), image_size=8, num_classes=5)
    with pytest.raises(InputError, match=f"CompositeLRP does not support {what}"):
        CompositeLRP("epsilon").attribute(model, tiny.images(1, (8, 8)), 1)


def test_the_rule_of_pixels_is_refused_where_pixels_are_changed_before_the_first_convolution():
    net = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, 4, 3), nn.Flatten(), nn.Linear(16, 5))
    model, images = Backbone.wrap(net.eval(), image_size=8, num_classes=5), tiny.images(1, (8, 8))
    with pytest.raises(InputError, match="take composite='epsilon_plus'"):
        CompositeLRP().attribute(model, images, 1)
    assert CompositeLRP("epsilon_plus").attribute(model, images, 1).isfinite().all()


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
    graph = relevance_graph(model, 1e-6).eval()
    images = tiny.images(2, (size, size))
    with torch.no_grad():
        expected = model(images)
        assert (graph(images) - expected).abs().max() < 1e-4 * expected.abs().max()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in graph.modules())
    assert any(isinstance(module, Sum) for module in graph.modules())
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
    with pytest.raises(InputError, match="CompositeLRP does not support a forward that depends on values or shapes"):
        CompositeLRP().explain(model, torch.rand(1, 3, 8, 8))


@pytest.mark.parametrize(
    ("model", "size"),
    [
        (lambda: Backbone("pvt_v2_b0", num_classes=3, image_size=32), 32),  # attention without one layer for all three
        (lambda: Backbone.wrap(torchvision.models.swin_t(num_classes=3), image_size=64), 64),  # one function
    ],
)
def test_attention_of_any_build_is_refused(model, size):
    with pytest.raises(InputError, match=r"CompositeLRP (has rules for CNNs, but none for attention|does not support)"):
        CompositeLRP().attribute(model().eval(), tiny.images(1, (size, size)), 1)


@pytest.mark.parametrize(
    ("name", "layer"),
    [("nf_resnet26", "ScaledStdConv2d"), ("resnetv2_50x1_bit", "GroupNormAct|StdConv2d")],
)
def test_layers_without_a_rule_are_refused(name, layer):
    model = Backbone(name, num_classes=3, image_size=64).eval()
    with pytest.raises(InputError, match=f"CompositeLRP does not support ({layer}).* .at model"):
        CompositeLRP().attribute(model, tiny.images(1, (64, 64)), 1)
