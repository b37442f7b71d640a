"""Rules of relevance propagation by operation: what they conserve, on transformers of every build."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lit_coiba.attribution import AttnLRP
from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import frozen
from lit_coiba.propagation.relevance import relevance_rules
from tests._testers import tiny

SMALL = {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4}


def homogeneous(model):
    """A model without additive constants, whose logits are far from zero."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if any(part in name for part in ("bias", "pos_embed", "token", "dist")):
            parameter.data.zero_()
        elif parameter.dim() > 1:
            parameter.data.normal_(0, 1.2 * parameter[0].numel() ** -0.5, generator=generator)
        elif any(part in name for part in ("gamma", "ls", "layer_scale")):
            parameter.data.fill_(1)
    return model.double()


@pytest.mark.parametrize(
    ("name", "size", "sizes"),
    [
        ("convit_tiny", 32, SMALL | {"local_up_to_layer": 1, "use_pos_embed": False}),  # mixes by position as well
        ("beit_base_patch16_224", 32, SMALL),  # uses the weight of its `qkv` without running it
        ("eva02_tiny_patch14_224", 56, {"embed_dim": 48, "depth": 2, "num_heads": 4}),  # rotates, has gated MLPs
        ("vit_small_patch16_18x2_224", 32, SMALL),  # two attentions side by side
        ("vit_tiny_r_s16_p8_224", 64, {"embed_dim": 32, "depth": 1, "num_heads": 4}),  # group norms in the stem
        ("swinv2_tiny_window8_256", 32, {"embed_dim": 16, "depths": (2,), "num_heads": (2,), "window_size": 4}),
        ("pvt_v2_b0", 32, {"depths": (1, 1, 1, 1)}),  # keys and values on a coarser grid
        ("mvitv2_tiny", 64, {}),  # pools queries, keys and values
        ("xcit_nano_12_p16_224", 64, {"depth": 2}),  # attention over channels
        # Queries, keys and values head by head; squeeze-and-excitation.
        ("coatnet_pico_rw_224", 64, {"depths": (1, 1, 2, 2), "embed_dim": (32, 32, 64, 64)}),
        ("edgenext_xx_small", 64, {"depths": (1, 1, 1, 1)}),
        ("efficientvit_b0", 64, {"depths": (1, 1, 1, 1)}),  # linear attention, without a softmax
        ("mobilevitv2_050", 64, {}),  # broadcast attention
        ("levit_128s", 224, {}),
    ],
)
def test_attention_of_every_build_conserves_the_logit(name, size, sizes):
    model = homogeneous(Backbone(name, num_classes=5, image_size=size, timm_kwargs=sizes).eval())
    images = tiny.images(2, (size, size)).double()
    with torch.no_grad():
        logits = model(images)[:, 3]
    assert (logits.abs() > 1e-3).all()
    found = AttnLRP(conserving=True).attribute(model, images, 3).sum((1, 2))
    torch.testing.assert_close(found, logits, rtol=1e-6, atol=1e-8)
    assert AttnLRP().attribute(model, images, 3).isfinite().all()


class Operations(nn.Module):
    """One attention over the rows of a picture, and one operation more."""

    def __init__(self, operation):
        super().__init__()
        self.operation = operation

    def forward(self, images):
        rows = images.flatten(2)
        rows = (rows @ rows.mT).softmax(-1) @ rows
        return self.operation(rows).flatten(1)


def relevance(operation, rows, conserving=True):
    """The output of an operation, and the relevance it leaves to each input for the sum of its outputs."""
    with frozen(None), relevance_rules(nn.Module(), conserving):
        inputs = rows.detach().clone().requires_grad_()
        output = operation(inputs)
        return output, inputs * torch.autograd.grad(output.sum(), inputs)[0]


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: F.gelu(x),
        lambda x: F.hardtanh_(x.clone(), -0.5, 0.5),
        lambda x: F.silu(x + 0, inplace=True),
        lambda x: x**2,
        lambda x: x * x,
        lambda x: x * x.sigmoid(),
        lambda x: x.mul(x.sigmoid()),
        lambda x: (x + 0).mul_(x),
        lambda x: x * F.adaptive_avg_pool1d(x, 1).sigmoid(),
        lambda x: x * x.mean(-1, keepdim=True),
        lambda x: x.mean(-1, keepdim=True) * x,
        lambda x: x / (1 + x.abs().amax(-1, keepdim=True)),
        lambda x: F.glu(x, -1),
        lambda x: F.normalize(x, dim=-1),
        lambda x: F.rms_norm(x, (8,)),
        lambda x: (x - x.mean(-1, keepdim=True)) * (x.var(-1, keepdim=True) + 1).rsqrt(),
        lambda x: torch.einsum("bij,bkj->bik", x, x),
        lambda x: F.scaled_dot_product_attention(x, x, x),
        lambda x: torch.cat([x, F.leaky_relu(x)]) - 2 * torch.cat([x.abs(), x.clamp(-0.1, 0.2)]),
    ],
)
def test_operations_hand_on_all_that_they_get_and_compute_what_they_did(operation):
    rows = torch.randn(2, 4, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    output, found = relevance(operation, rows)
    torch.testing.assert_close(output, operation(rows))
    torch.testing.assert_close(found.sum(), output.sum())


@pytest.mark.parametrize(
    ("operation", "by_hand"),
    [
        (lambda x: F.layer_norm(x, (8,)), lambda x: x - x.mean(-1, keepdim=True)),
        (
            lambda x: F.group_norm(x, 2),
            lambda x: x - x.unflatten(1, (2, 2)).mean((2, 3)).repeat_interleave(2, 1)[..., None],
        ),
        (lambda x: F.instance_norm(x), lambda x: x - x.mean(-1, keepdim=True)),
    ],
)
def test_the_spread_of_a_norm_is_a_constant(operation, by_hand):
    """The gradient of ``(x - mean) / s`` with s a number, for a row of weights."""
    rows = torch.randn(2, 4, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(2, 4, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    centred = by_hand(rows)
    spread = centred / operation(rows)
    expected = torch.func.grad(lambda x: (by_hand(x) / spread * weights).sum())(rows)
    _, found = relevance(lambda x: operation(x) * weights, rows)
    torch.testing.assert_close(found, rows * expected)


def test_masks_of_fused_attention_are_heard():
    rows = torch.randn(2, 4, 8, dtype=torch.float64)
    seen = torch.rand(4, 4) < 0.7
    seen.fill_diagonal_(True)
    for mask in (seen, torch.randn(4, 4, dtype=torch.float64)):
        plain = F.scaled_dot_product_attention(rows, rows, rows, attn_mask=mask)
        output, _ = relevance(lambda x, mask=mask: F.scaled_dot_product_attention(x, x, x, attn_mask=mask), rows)
        torch.testing.assert_close(output, plain)


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (torch.exp, "exp"),
        (lambda x: 2**x, "rpow"),
        (lambda x: torch.addcmul(x, x, x), "addcmul"),
        (lambda x: torch.cdist(x, x), "cdist"),
    ],
)
def test_an_operation_without_a_rule_is_refused_by_its_name(operation, name):
    model = Backbone.wrap(Operations(operation), image_size=8)
    with pytest.raises(InputError, match=f"AttnLRP does not support torch's {name}: take InputXGradient or RISE"):
        AttnLRP().attribute(model, tiny.images(1, (8, 8)), 1)


def test_causal_attention_is_refused():
    def causal(x):
        return F.scaled_dot_product_attention(x, x, x, is_causal=True)

    model = Backbone.wrap(Operations(causal), image_size=8)
    with pytest.raises(InputError, match="AttnLRP does not support attention with a causal mask, grouped queries"):
        AttnLRP().attribute(model, tiny.images(1, (8, 8)), 1)
