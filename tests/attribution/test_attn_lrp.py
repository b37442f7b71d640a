from functools import partial

import pytest
import torch
from timm.layers import GluMlp, LayerNorm2d, RmsNorm, SwiGLU
from torch import nn

from lit_coiba.attribution import AttnLRP, InputXGradient
from lit_coiba.backbones import Backbone
from lit_coiba.propagation.relevance import relevance_rules
from tests._testers import tiny
from tests._testers.methods import MethodTester, StateTester

NO_ATTENTION = "AttnLRP has rules for transformers, and this model has no attention: take CompositeLRP"


class TestAttnLRP(StateTester):
    method = AttnLRP
    evaluations = (1, 1)
    unsupported = {"cnn": NO_ATTENTION}  # noqa: RUF012


class TestCPLRP(MethodTester):
    method = AttnLRP
    arguments = {"conserving": True}  # noqa: RUF012
    evaluations = (1, 1)
    unsupported = {"cnn": NO_ATTENTION}  # noqa: RUF012


def without_biases(model):
    """Blocks, norms and the head without additive constants, nor CLS and positions."""
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or "pos_embed" in name or "cls_token" in name:
            nn.init.zeros_(parameter)
    return model


@pytest.mark.parametrize("build", [tiny.vit, tiny.vit_with_registers, tiny.swin])
@pytest.mark.parametrize("conserving", [False, True])
def test_the_model_computes_the_same_to_the_bit(build, conserving):
    model = build()
    images = tiny.images(2, model.preprocessing.size).requires_grad_()
    with torch.no_grad():
        expected = model(images)
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
    explicit = model(images)
    with relevance_rules(model, conserving):
        assert torch.equal(model(images), explicit)
    assert (explicit - expected).abs().max() < 1e-4


def test_cp_lrp_conserves_the_logit_without_biases_and_attn_lrp_does_not():
    model = without_biases(tiny.vit(depth=3, act_layer="relu", global_pool="avg", class_token=False)).double()
    images = tiny.images(3, (32, 32)).double()
    with torch.no_grad():
        logits = model(images)[:, 2]
    cp, attn = (AttnLRP(conserving).attribute(model, images, 2).sum((1, 2)) for conserving in (True, False))
    torch.testing.assert_close(cp, logits, rtol=1e-9, atol=1e-9)
    assert ((attn - logits).abs() > 1e-2 * logits.abs()).all()


@pytest.mark.parametrize(
    "sizes",
    [
        {"mlp_layer": SwiGLU, "norm_layer": "layernorm"},
        {"mlp_layer": partial(GluMlp, act_layer=nn.SiLU, gate_last=False), "act_layer": "silu"},
        {"norm_layer": RmsNorm, "act_layer": "relu"},
        {"norm_layer": nn.RMSNorm, "act_layer": "relu"},
    ],
)
def test_gated_mlps_and_rms_norms_conserve_too(sizes):
    model = without_biases(tiny.vit(depth=3, global_pool="avg", class_token=False, **sizes)).double()
    images = tiny.images(3, (32, 32)).double()
    with torch.no_grad():
        logits = model(images)[:, 2]
    found = AttnLRP(conserving=True).attribute(model, images, 2).sum((1, 2))
    torch.testing.assert_close(found, logits, rtol=1e-7, atol=1e-7)


def test_relevance_is_that_of_the_rules_applied_one_by_one():
    """A block written out: every product, sum and norm hands relevance back by its own rule."""
    model = tiny.vit(depth=1, embed_dim=8, num_heads=2, act_layer="silu").double()
    images, target = tiny.images(1, (32, 32)).double(), 4
    net = model.model
    patches = net.patch_embed(images)
    cls = net.cls_token
    x0 = torch.cat([cls, patches], 1) + net.pos_embed
    block = net.blocks[0]

    def normed(norm, x):
        return (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + norm.eps).sqrt()

    n1 = normed(block.norm1, x0) * block.norm1.weight + block.norm1.bias
    q, k, v = block.attn.qkv(n1).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
    logits = q @ k.mT / 2
    weights = logits.softmax(-1)
    mixed = weights @ v
    flat = mixed.transpose(1, 2).flatten(2)
    x1 = x0 + block.attn.proj(flat)
    n2 = normed(block.norm2, x1) * block.norm2.weight + block.norm2.bias
    hidden = block.mlp.fc1(n2)
    active = nn.functional.silu(hidden)
    x2 = x1 + block.mlp.fc2(active)
    n3 = normed(net.norm, x2) * net.norm.weight + net.norm.bias

    def linear(x, weight, relevance, y):  # R_i = x_i sum_j w_ji R_j / y_j
        return x * ((relevance / y) @ weight)

    def norm_rule(norm, x, relevance, y):  # the mean is linear, the spread a constant
        scale = norm.weight / (x.var(-1, correction=0, keepdim=True) + norm.eps).sqrt()
        share = relevance / y * scale
        return x * (share - share.mean(-1, keepdim=True))

    r3 = torch.zeros_like(n3)
    r3[:, 0] = n3[:, 0] * net.head.weight[target]
    r2 = norm_rule(net.norm, x2, r3, n3)
    branch = net_share = r2 * (x2 - x1) / x2
    r1 = r2 * x1 / x2
    r_active = linear(active, block.mlp.fc2.weight, branch, x2 - x1)
    r_hidden = r_active  # the identity rule
    r_n2 = linear(n2, block.mlp.fc1.weight, r_hidden, hidden)
    r1 = r1 + norm_rule(block.norm2, x1, r_n2, n2)
    branch = r1 * (x1 - x0) / x1
    r0 = r1 * x0 / x1
    r_flat = linear(flat, block.attn.proj.weight, branch, x1 - x0)
    r_mixed = r_flat.unflatten(-1, (2, 4)).transpose(1, 2)
    share = r_mixed / (2 * mixed)  # Proposition 3.3: a product of two shares evenly
    r_weights, r_v = weights * (share @ v.mT), v * (weights.mT @ share)
    r_logits = logits * (r_weights - weights * r_weights.sum(-1, keepdim=True))  # Proposition 3.1
    share = r_logits / (2 * logits) / 2
    r_q, r_k = q * (share @ k), k * (share.mT @ q)
    r_qkv = torch.stack([r_q, r_k, r_v]).permute(1, 3, 0, 2, 4).flatten(2)
    r_n1 = linear(n1, block.attn.qkv.weight, r_qkv, block.attn.qkv(n1))
    r0 = r0 + norm_rule(block.norm1, x0, r_n1, n1)
    r_patches = r0[:, 1:] * patches / x0[:, 1:]
    projection = net.patch_embed.proj
    gradient = nn.functional.conv_transpose2d(
        (r_patches / patches).transpose(1, 2).unflatten(-1, (4, 4)), projection.weight, stride=8
    )
    expected = (images * gradient).sum(1)
    assert net_share.isfinite().all()
    found = AttnLRP().attribute(model, images, target)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-6, atol=1e-10)


def test_softmax_and_products_agree_with_lxt():
    functional = pytest.importorskip("lxt.explicit.functional", reason="lxt is not installed")
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 5, 4, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(3))
    start = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)
    scores = functional.matmul(q, k.mT)
    theirs = torch.autograd.grad(functional.matmul(functional.softmax(scores, -1), v), (q, k, v), start)
    out = (q @ k.mT).softmax(-1) @ v
    ours = torch.autograd.grad(out, (q, k, v), start / out.detach())
    for relevance, gradient, value, share in zip(theirs, ours, (q, k, v), (0.25, 0.25, 0.5)):
        torch.testing.assert_close(relevance, gradient * value * share, rtol=1e-3, atol=1e-4)  # they stabilise


def test_activations_that_work_in_place_and_tanh_gelu_are_followed():
    for activation in ("relu", "gelu_tanh", "quick_gelu"):
        model, images = tiny.vit(depth=2, act_layer=activation).double(), tiny.images(1, (32, 32)).double()
        assert AttnLRP().attribute(model, images, 1).isfinite().all()
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 6), nn.ReLU(inplace=True), nn.Linear(6, 4)).double()
    net.requires_grad_(False)
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    pixels = images.clone().requires_grad_()
    with relevance_rules(net):
        gradient = torch.autograd.grad(net(pixels)[:, 1].sum(), pixels)[0]
    torch.testing.assert_close(gradient, torch.func.grad(lambda x: net(x)[:, 1].sum())(images))
    assert net[2].inplace


def test_torchvision_transformers_are_explained():
    torchvision = pytest.importorskip("torchvision")
    net = torchvision.models.VisionTransformer(32, 8, 3, 2, 16, 32, num_classes=4)
    tiny.randomise(net, 0)
    model, images = Backbone.wrap(net.eval(), image_size=32), tiny.images(2, (32, 32))
    with torch.no_grad():
        expected = model(images)
    maps = [AttnLRP(conserving).attribute(model, images, 1) for conserving in (False, True)]
    assert all((one.flatten(1).std(1) > 0).all() for one in maps)
    assert not torch.allclose(maps[0], maps[1])
    assert not torch.allclose(maps[0], InputXGradient().attribute(model, images, 1))
    with torch.no_grad():
        assert torch.equal(model(images), expected)
        with relevance_rules(model):
            torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-5)


SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 4, "patch_size": 8}


@pytest.mark.parametrize("width", [5, 6])  # one of them the number of channels
def test_a_norm_over_channels_of_a_picture_has_the_rule_of_a_norm(width):
    norm = LayerNorm2d(6).double()
    nn.init.normal_(norm.weight)
    images = torch.randn(2, 6, 4, width).double().requires_grad_()
    weights = torch.randn(2, 6, 4, width).double()
    with relevance_rules(nn.Sequential(norm)):
        output = norm(images)
    assert torch.equal(output, norm(images))
    deviation = (images.detach().var(1, correction=0, keepdim=True) + norm.eps).sqrt()
    expected = (images - images.mean(1, keepdim=True)) / deviation * norm.weight[:, None, None]
    found, wanted = (torch.autograd.grad((o * weights).sum(), images)[0] for o in (output, expected))
    torch.testing.assert_close(found, wanted)
