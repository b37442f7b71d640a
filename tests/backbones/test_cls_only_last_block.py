import copy

import pytest
import torch

from lit_coiba.backbones import Backbone
from tests.backbones.families import family, hooked_forward, images_for, scaled

LAYERS = ["blocks.1.norm1", "blocks.2.norm1"]


def rows_through_last_mlp(backbone, layers):
    """How many tokens of an image the last block's MLP sees in the tail."""
    path = backbone.split(layers)
    state, seen = path.lower(images_for(backbone)), []
    handle = backbone.model.blocks[-1].mlp.fc1.register_forward_hook(
        lambda m, args, output: seen.append(args[0].shape[1])
    )
    try:
        path.upper(state, lambda _, activation: activation)
    finally:
        handle.remove()
    return seen[0]


@pytest.mark.parametrize(
    ("name", "rows"), [("vit", 1), ("vit_qk_norm", 1), ("dinov2_registers", 1), ("deit_distilled", 2)]
)
def test_the_last_block_is_run_for_the_rows_that_the_head_reads(name, rows, monkeypatch):
    backbone = family(name)
    path = backbone.split(LAYERS)
    seen = []
    mlp = backbone.model.blocks[-1].mlp
    plain = mlp.forward
    monkeypatch.setattr(mlp, "forward", lambda tokens: seen.append(tokens.shape[1]) or plain(tokens))
    path.upper(path.lower(images_for(backbone)), scaled)
    assert seen == [rows]


@pytest.mark.parametrize("name", ["vit", "vit_qk_norm", "dinov2_registers", "deit_distilled"])
@pytest.mark.parametrize("fused", [True, False])
def test_logits_and_gradients_are_those_of_the_whole_model_in_double_precision(name, fused):
    backbone = family(name)
    for module in backbone.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = fused
    check(backbone, 1e-12)


def test_logits_and_gradients_are_those_of_the_whole_model_in_single_precision():
    check(family("vit").float(), 1e-6)


def check(backbone, tolerance):
    images = images_for(backbone).to(next(backbone.parameters()).dtype)
    ratio = torch.linspace(0.2, 0.9, backbone.grid(LAYERS[0]).positions, dtype=images.dtype).unsqueeze(-1)
    results = []
    for run in ("path", "hooks"):
        leaf = ratio.clone().requires_grad_(True)

        def edit(index, activation, leaf=leaf):
            return activation * leaf

        if run == "path":
            path = backbone.split(LAYERS)
            logits = path.upper(path.lower(images), edit)
        else:
            logits = hooked_forward(backbone, LAYERS, images, edit)
        logits.logsumexp(-1).sum().backward()
        results.append((logits.detach(), leaf.grad))
    (ours, our_gradient), (theirs, their_gradient) = results
    assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()
    assert (our_gradient - their_gradient).abs().max() <= 10 * tolerance * their_gradient.abs().max()


@pytest.mark.parametrize("layer", ["blocks.2", "blocks.2.attn", "blocks.2.norm2", "blocks.2.mlp", "norm"])
def test_a_target_that_needs_all_tokens_gets_them(layer):
    backbone = family("vit")
    tokens = backbone.grid(layer).positions
    shapes = []

    def edit(index, activation):
        shapes.append(activation.shape[1])
        return activation

    path, images = backbone.split(["blocks.1.norm1", layer]), images_for(backbone)
    torch.testing.assert_close(path.upper(path.lower(images), edit), backbone(images), rtol=1e-11, atol=1e-12)
    assert shapes == [tokens, tokens]


def test_what_listens_to_the_last_block_sees_all_tokens():
    backbone = family("vit")
    assert rows_through_last_mlp(backbone, LAYERS) == 1  # the hook came after the path
    backbone.model.blocks[-1].mlp.register_forward_hook(lambda *_: None)
    assert rows_through_last_mlp(backbone, LAYERS) == backbone.grid("norm").positions


@pytest.mark.parametrize("name", ["vit_average", "vit_map", "eva"])
def test_heads_that_read_all_tokens_get_them(name):
    assert rows_through_last_mlp(family(name), LAYERS) == family(name).grid("norm").positions


def test_in_training_mode_the_block_is_left_whole():
    backbone = family("vit").train()
    assert rows_through_last_mlp(backbone, LAYERS) == backbone.grid("norm").positions


def test_an_attention_of_another_kind_is_left_whole():
    kwargs = {"depth": 2, "embed_dim": 24, "num_heads": 3, "attn_layer": "diff"}
    backbone = Backbone("vit_tiny_patch16_224", timm_kwargs=kwargs, image_size=32).double().eval()
    layers = ["blocks.0.norm1", "blocks.1.norm1"]
    assert rows_through_last_mlp(backbone, layers) == 5
    path, images = backbone.split(layers), images_for(backbone)
    expected = hooked_forward(backbone, layers, images, scaled)
    torch.testing.assert_close(path.upper(path.lower(images), scaled), expected, rtol=1e-11, atol=1e-12)


def test_a_block_with_changed_parts_is_left_whole():
    backbone = family("vit")
    attention = backbone.model.blocks[-1].attn
    changed = copy.deepcopy(backbone)
    changed.model.blocks[-1].attn.qkv = torch.nn.Sequential(attention.qkv)  # as adapters do
    assert rows_through_last_mlp(changed, LAYERS) == backbone.grid("norm").positions
