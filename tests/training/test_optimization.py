import math

import pytest
import timm
import torch
from torch import nn

from lit_coiba.heads import InfoDisentHead
from lit_coiba.training.optimization import adamw, parameter_groups, warmup_cosine


def names(module, group):
    by_id = {id(p): name for name, p in module.named_parameters()}
    return {by_id[id(p)] for p in group["params"]}


def test_only_matrices_are_decayed():
    model = timm.create_model("vit_tiny_patch16_224", depth=1, embed_dim=8, num_heads=2, num_classes=3, img_size=32)
    decayed, spared = parameter_groups(nn.Sequential(model), weight_decay=0.3)
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.3, 0.0)
    assert names(model, decayed) == {
        "patch_embed.proj.weight",
        "blocks.0.attn.qkv.weight",
        "blocks.0.attn.proj.weight",
        "blocks.0.mlp.fc1.weight",
        "blocks.0.mlp.fc2.weight",
        "head.weight",
    }
    assert {"cls_token", "pos_embed", "norm.weight", "head.bias"} <= names(model, spared)
    assert len(decayed["params"]) + len(spared["params"]) == len(list(model.parameters()))


def test_what_a_swin_calls_relative_positions_is_spared():
    model = timm.create_model("swin_tiny_patch4_window7_224", depths=(1, 1), embed_dim=8, num_heads=(2, 2), img_size=56)
    _, spared = parameter_groups(model, weight_decay=0.1)
    assert "layers.0.blocks.0.attn.relative_position_bias_table" in names(model, spared)


def test_frozen_parameters_are_not_optimised():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    model[0].requires_grad_(False)
    optimizer = adamw(model, lr=0.1, weight_decay=0.2)
    assert [p.shape for group in optimizer.param_groups for p in group["params"]] == [(4, 3), (4,)]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.2, 0.0]
    model[1].weight.requires_grad_(False)
    assert len(parameter_groups(model, 0.2)) == 1


@pytest.mark.parametrize(("steps", "warmup"), [(50, 0.1), (7, 0.0), (10, 1.0), (1, 0.5)])
def test_rate_rises_then_falls_to_zero(steps, warmup):
    factor = warmup_cosine(steps, warmup)
    rising = round(steps * warmup)
    rates = [factor(step) for step in range(steps + 1)]
    assert all(0 < rate <= 1 for rate in rates[:-1])
    assert rates[:rising] == pytest.approx([(k + 1) / rising for k in range(rising)])
    left = steps - rising
    falling = [math.cos(math.pi / 2 * k / left) ** 2 for k in range(left)]  # half-angle form of the cosine
    assert rates[rising:-1] == pytest.approx(falling)
    assert rates[-1] == pytest.approx(0.0 if left else 1.0)
    assert factor(10 * steps) == pytest.approx(0.0)


def test_step_zero_of_a_warmup_moves():
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, warmup_cosine(100, 0.1))
    weight.grad = torch.ones(1)
    optimizer.step()
    schedule.step()
    assert weight.item() == pytest.approx(-0.1)


def test_the_matrix_of_a_rotation_is_spared():
    module = nn.Sequential(InfoDisentHead(4, 3))
    decayed, spared = parameter_groups(module, weight_decay=0.1)
    assert names(module, decayed) == {"0.weight"}
    assert names(module, spared) == {"0.rotate.generator"}


def test_rates_of_layers_come_in_groups_of_one_scale():
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    optimizer = adamw(module, lr=0.1, weight_decay=0.2, scales={"0.weight": 0.5, "0.bias": 0.5})
    found = [(group["lr"], group["weight_decay"], group["params"][0].shape) for group in optimizer.param_groups]
    assert found == [(0.1, 0.2, (4, 3)), (0.1, 0.0, (4,)), (0.05, 0.2, (3, 2)), (0.05, 0.0, (3,))]
