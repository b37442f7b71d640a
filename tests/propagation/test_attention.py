"""Attention weights are those of the model, and recording them leaves nothing behind."""

import pytest
import torch
import torchvision
from timm.layers import DiffAttention

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import Unsupported
from lit_coiba.propagation.attention import (
    attention_layers,
    explicit_multihead,
    flow,
    read_tokens,
    record_attention,
    token_grid,
    unfused_attention,
)
from tests._testers import tiny
from tests._testers.model_state import assert_same_state, disturb, state


def torchvision_vit() -> Backbone:
    net = torchvision.models.VisionTransformer(32, 8, 3, 2, 16, 32, num_classes=tiny.CLASSES)
    tiny.randomise(net, 0)
    return Backbone.wrap(net.eval(), image_size=32)


@pytest.mark.parametrize("build", [tiny.vit, tiny.vit_with_registers, torchvision_vit])
def test_weights_are_recorded_block_by_block_and_logits_stay(build):
    model, images = build(), tiny.images(2, (32, 32))
    with torch.no_grad():
        expected = model(images)
        with record_attention(model) as weights:
            torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-5)
    grid = token_grid(model)
    assert len(weights) == len(attention_layers(model))
    for weight in weights:
        assert weight.shape[0] == 2
        assert weight.shape[-2:] == (grid.positions, grid.positions)
        torch.testing.assert_close(weight.sum(-1), torch.ones(weight.shape[:-1]))


def test_torch_s_own_attention_says_the_same():
    model, images = torchvision_vit(), tiny.images(2, (32, 32))
    inner, seen = model.model.encoder.layers[0].self_attention, {}
    handle = inner.register_forward_pre_hook(lambda module, args: seen.update(tokens=args[0]))
    with torch.no_grad(), record_attention(model) as weights:
        model(images)
    handle.remove()
    with torch.no_grad():
        tokens = seen["tokens"]
        _, expected = inner(tokens, tokens, tokens, need_weights=True, average_attn_weights=False)
    torch.testing.assert_close(weights[0], expected)


@pytest.mark.parametrize("build", [tiny.vit, tiny.swin, torchvision_vit])
@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left_behind(build, fails):
    model = build()
    disturb(model)
    before = state(model)
    for around in (record_attention, unfused_attention, explicit_multihead):
        try:
            with around(model):
                switched = any(getattr(module, "fused_attn", False) for module in model.modules())
                assert not switched or around is explicit_multihead
                if fails:
                    raise RuntimeError("inside")
        except RuntimeError:
            assert fails
        assert_same_state(state(model), before)


def test_the_classifier_reads_cls_or_all_patches():
    share = torch.full((16,), 1 / 16)
    for model, expected in (
        (tiny.vit(), torch.eye(17)[0]),
        (tiny.vit_with_registers(), torch.eye(19)[0]),
        (tiny.vit(global_pool="avg"), torch.cat([torch.zeros(1), share])),
        (tiny.vit(global_pool="avg", class_token=False), share),
        (tiny.infodisent(), torch.cat([torch.zeros(1), share])),
    ):
        torch.testing.assert_close(read_tokens(model, token_grid(model)).float(), expected)


def test_a_distilled_vit_reads_two_tokens_and_pooled_prefixes_count():
    sizes = {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4}
    distilled = Backbone("deit_tiny_distilled_patch16_224", num_classes=3, timm_kwargs=sizes, image_size=32).eval()
    found = read_tokens(distilled, token_grid(distilled))
    assert found.tolist() == [0.5, 0.5] + 16 * [0.0]
    model = tiny.vit(global_pool="avg", pool_include_prefix=True)
    torch.testing.assert_close(read_tokens(model, token_grid(model)).float(), torch.full((17,), 1 / 17))


def test_flow_is_a_product_of_matrices():
    steps = [torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(k)) for k in range(3)]
    start = torch.rand(5)
    torch.testing.assert_close(flow(start, steps), (start @ (steps[2] @ steps[1] @ steps[0])))


def test_the_window_of_beit_is_the_whole_image():
    sizes = {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4}
    model = Backbone("beit_base_patch16_224", num_classes=3, timm_kwargs=sizes, image_size=32).eval()
    assert token_grid(model).positions == 17
    with record_attention(model) as weights, torch.no_grad():
        model(tiny.images(2, (32, 32)))
    assert [tuple(weight.shape) for weight in weights] == [(2, 4, 17, 17)] * 2
    torch.testing.assert_close(torch.stack(weights).sum(-1), torch.ones(2, 2, 4, 17))


@pytest.mark.parametrize(
    ("build", "what", "where"),
    [
        (tiny.resnet, "a model without attention like that of timm's ViTs or torch's MultiheadAttention", ""),
        (tiny.swin, "attention within windows", "layers.0.blocks.0.attn"),
    ],
)
def test_a_model_without_attention_over_all_tokens_is_refused(build, what, where):
    with pytest.raises(Unsupported) as refusal:
        token_grid(build())
    assert (refusal.value.what, refusal.value.where) == (what, where)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("xcit_nano_12_p16_224", "attention of another kind"),  # over channels, in matrices that are square too
        ("cait_xxs24_224", "a second kind of attention"),  # whose class token attends in the last blocks
        ("pvt_v2_b0", "attention of another kind"),
    ],
)
def test_attention_that_cannot_be_read_is_refused(name, what):
    sizes = {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4}
    model = Backbone(name, num_classes=3, timm_kwargs={} if name.startswith("pvt") else sizes, image_size=32)
    with pytest.raises(Unsupported, match=rf"^{what} .*\(at .+\) is not supported$"):
        token_grid(model.eval())


SIZES = {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4}


@pytest.mark.parametrize(
    ("name", "sizes", "what"),
    [
        ("tnt_s_patch16_224", {}, "a model without attention"),
        ("levit_128s", {}, "a model without attention"),
        ("vit_small_patch16_18x2_224", SIZES, r"parallel attentions in one block \(at blocks.0\)"),
        ("vit_tiny_patch16_224", {**SIZES, "global_pool": "max"}, "max pooling of tokens"),
    ],
)
def test_models_whose_attention_cannot_be_carried_back_are_refused(name, sizes, what):
    model = Backbone(name, num_classes=3, timm_kwargs=sizes, image_size=32 if sizes else None).eval()
    with pytest.raises(Unsupported, match=f"^{what}"):
        token_grid(model)


def test_attention_of_two_kinds_is_refused_where_only_a_forward_can_tell():
    """ConViT's first blocks mix tokens by position too, in a module that holds no ``qkv``."""
    model = Backbone("convit_tiny", num_classes=3, timm_kwargs=SIZES | {"local_up_to_layer": 1}, image_size=32).eval()
    words = "^attention of another kind than that of timm's ViTs and torch's MultiheadAttention is not supported"
    with torch.no_grad(), pytest.raises(Unsupported, match=words), record_attention(model):
        model(tiny.images(1, (32, 32)))


@pytest.mark.parametrize("build", ["differential", "fused", "unseen"])
def test_weights_that_are_not_those_that_mix_the_tokens_are_refused(build):
    model = tiny.vit(depth=2)
    block, width = model.model.blocks[1], model.model.embed_dim
    if build == "differential":  # which subtracts one half of the weights from the other
        block.attn = DiffAttention(width, num_heads=4).eval()
    else:
        block.attn = Plain(width, fused=build == "fused")
    words = "always fused" if build == "fused" else "mixes tokens by other weights"
    with torch.no_grad(), pytest.raises(Unsupported, match=words) as refusal, record_attention(model):
        model(tiny.images(1, (32, 32)))
    assert refusal.value.where == "model.blocks.1.attn"


class Plain(torch.nn.Module):
    """An attention with the parts of timm's that uses one of them only, and has no switch."""

    def __init__(self, width, fused):
        super().__init__()
        self.qkv, self.attn_drop, self.fused = torch.nn.Linear(width, 3 * width), torch.nn.Dropout(), fused

    def forward(self, tokens, attn_mask=None, is_causal=False):
        q, k, v = self.qkv(tokens).chunk(3, -1)
        return torch.nn.functional.scaled_dot_product_attention(q, k, v) if self.fused else (q @ k.mT).softmax(-1) @ v
