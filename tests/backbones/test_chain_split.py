import copy

import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from tests.backbones.families import FAMILIES, PlainCNN, family, hooked_forward, images_for, scaled


def identity(index, activation):
    return activation


def close(left, right):
    torch.testing.assert_close(left, right, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", FAMILIES)
def test_prefix_and_tail_equal_the_model(name):
    backbone = family(name)
    images, layers = images_for(backbone), backbone.default_layers()
    path = backbone.split(layers)
    close(path.upper(path.lower(images), identity), backbone(images))


@pytest.mark.parametrize("name", FAMILIES)
def test_edits_of_the_default_layers_equal_hooks_on_the_whole_model(name):
    backbone = family(name)
    images, path = images_for(backbone), backbone.split(backbone.default_layers())
    expected = hooked_forward(backbone, path.layers, images, scaled)
    assert not torch.allclose(expected, backbone(images))
    close(path.upper(path.lower(images), scaled), expected)


@pytest.mark.parametrize("name", FAMILIES)
def test_any_layer_can_be_the_first_target(name):
    backbone = family(name)
    images, layers = images_for(backbone, 1), backbone.layers()
    last = layers[-1]
    for layer in layers[:: 1 + len(layers) // 12]:
        targets = [layer] if layer.startswith(last) else [layer, last]  # what ends a stage is the stage's output, too
        path = backbone.split(targets)
        state = path.lower(images)
        assert path.grids[0].spread(torch.ones(1, path.grids[0].positions)).dim() == state.activation.dim()
        close(path.upper(state, scaled), hooked_forward(backbone, targets, images, scaled))


def test_targets_are_put_in_the_order_of_execution():
    backbone = family("vit")
    shuffled = ["blocks.2", "blocks.0.mlp", "blocks.2.norm1", "blocks.0.norm1"]
    path = backbone.split(shuffled)
    assert path.layers == ["blocks.0.norm1", "blocks.0.mlp", "blocks.2.norm1", "blocks.2"]
    assert [grid.layer for grid in path.grids] == path.layers
    calls = []

    def recording(index, activation):
        calls.append(index)
        return activation

    path.upper(path.lower(images_for(backbone)), recording)
    assert calls == [0, 1, 2, 3]


def test_the_tail_runs_nothing_below_the_first_target_and_not_the_target_itself():
    backbone = family("vit")
    images, path = images_for(backbone), backbone.split(["blocks.1.norm1", "blocks.2.norm1"])
    expected = hooked_forward(backbone, path.layers, images, scaled)
    state = path.lower(images)
    for below in ("patch_embed", "blocks.0", "blocks.1.norm1"):
        for parameter in backbone.model.get_submodule(below).parameters():
            parameter.fill_(float("nan"))
    close(path.upper(state, scaled), expected)


def test_the_prefix_runs_nothing_above_the_first_target():
    backbone = family("vit")
    path = backbone.split(["blocks.1.norm1", "blocks.2.norm1"])

    def refuse(*_):
        raise AssertionError("was run")

    for above in ("blocks.1.attn", "blocks.2", "norm", "head"):
        backbone.model.get_submodule(above).register_forward_hook(refuse)
    state = path.lower(images_for(backbone))
    close(state.activation, backbone.model.blocks[1].norm1(state.stream))


def test_the_first_edit_gets_the_activation_of_the_state():
    backbone = family("vit")
    path = backbone.split(["blocks.1.norm1"])
    state = path.lower(images_for(backbone))
    got = []
    path.upper(state, lambda index, activation: got.append(activation) or activation)
    assert got[0] is state.activation


@pytest.mark.parametrize("layer", ["blocks.1.norm1", "blocks.1"])
def test_copies_of_a_state_give_copies_of_the_logits(layer):
    backbone = family("vit")
    images, path = images_for(backbone), backbone.split([layer])
    logits = path.upper(path.lower(images).repeat(3), identity)
    close(logits, backbone(images).repeat(3, 1))


@pytest.mark.parametrize("name", ["vit", "resnet", "wrapped", "wrapped_sequential"])
def test_images_and_state_are_left_as_they_were(name):
    backbone = family(name)
    images = images_for(backbone)
    before = images.clone()
    for layer in backbone.layers()[::7]:
        path = backbone.split([layer])
        state = path.lower(images)
        kept = copy.deepcopy(state)
        path.upper(state, identity)
        path.upper(state, lambda _, activation: activation[:])  # a view shares its memory
        assert torch.equal(state.stream, kept.stream)
        assert torch.equal(state.activation, kept.activation)
    assert torch.equal(images, before)


class WritesItsInput(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.act = nn.ReLU()

    def forward(self, images):
        return self.act(self.conv(images.mul_(2))).mean((2, 3))


def test_a_model_that_writes_into_its_input_gets_a_copy():
    backbone = Backbone.wrap(WritesItsInput().double().eval(), image_size=8)
    images = images_for(backbone)
    expected = backbone(images.clone())
    path = backbone.split(["conv"])
    before = images.clone()
    state = path.lower(images)
    close(path.upper(state, identity), expected)
    close(path.upper(state, identity), expected)
    assert torch.equal(images, before)


def traces(module):
    """All that a path could leave behind."""
    return [
        (
            len(m._forward_hooks),
            len(m._forward_pre_hooks),
            "forward" in m.__dict__,
            m.training,
            getattr(m, "fused_attn", 0),
        )
        for m in module.modules()
    ]


@pytest.mark.parametrize("layers", [["blocks.1.norm1", "blocks.2.norm1"], ["blocks.1", "blocks.2.mlp.fc2"]])
def test_nothing_is_left_behind(layers):
    backbone = family("vit")
    backbone.model.blocks[0].train()
    before = traces(backbone)
    path = backbone.split(layers)
    path.upper(path.lower(images_for(backbone)), scaled)
    assert traces(backbone) == before


@pytest.mark.parametrize("fails", [0, 1])
def test_nothing_is_left_behind_when_an_edit_raises(fails):
    backbone = family("vit")
    before = traces(backbone)
    path = backbone.split(["blocks.1.norm1", "blocks.2.norm1"])
    state = path.lower(images_for(backbone))

    def failing(index, activation):
        if index == fails:
            raise KeyError("edit")
        return activation

    with pytest.raises(KeyError, match="edit"), torch.autocast("cpu", torch.bfloat16):
        path.upper(state, failing)
    assert traces(backbone) == before


def test_nothing_is_left_behind_when_the_model_raises():
    backbone = family("vit")
    path = backbone.split(["blocks.1.attn", "blocks.2.norm1"])
    state = path.lower(images_for(backbone))
    qkv = backbone.model.blocks[1].attn.qkv
    backbone.model.blocks[1].attn.qkv = nn.Linear(3, 3).double()
    backbone.model.blocks[2].mlp = nn.Linear(3, 3).double()
    before = traces(backbone)
    with pytest.raises(RuntimeError):
        path.upper(state, identity)
    with pytest.raises(RuntimeError):
        path.lower(images_for(backbone))
    assert traces(backbone) == before
    backbone.model.blocks[1].attn.qkv = qkv


def test_a_forward_that_someone_has_replaced_is_given_back():
    backbone = family("vit")
    norm = backbone.model.blocks[1].norm1
    plain = norm.forward
    norm.forward = mine = lambda tokens: 2 * plain(tokens)
    path, images = backbone.split(["blocks.1.norm1"]), images_for(backbone)
    close(path.upper(path.lower(images), identity), backbone(images))
    assert norm.forward is mine


def test_gradients_flow_to_the_edit_alone():
    backbone = family("vit").requires_grad_(True)
    images = images_for(backbone).requires_grad_(True)
    backbone.requires_grad_(False)
    ratio = torch.full((), 0.7, dtype=torch.float64, requires_grad=True)
    path = backbone.split(["blocks.1.norm1", "blocks.2.norm1"])
    path.upper(path.lower(images), lambda _, activation: ratio * activation).square().sum().backward()
    gradient, ratio.grad = ratio.grad, None
    hooked_forward(backbone, path.layers, images.detach(), lambda _, a: ratio * a).square().sum().backward()
    close(gradient, ratio.grad)
    assert images.grad is None
    assert all(parameter.grad is None for parameter in backbone.parameters())


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        ([], "layers is empty"),
        (["blocks.1.norm1", "blocks.1.norm1"], "blocks.1.norm1 is given twice"),
        (["blocks.2", "blocks"], "blocks.2 and blocks are the same activation"),
        (["blocks.1.norm1", "blocks.9.norm1"], "has no layer 'blocks.9.norm1'"),
    ],
)
def test_targets_that_make_no_sense_are_refused(layers, says):
    with pytest.raises(InputError, match=says):
        family("vit").split(layers)


def test_images_of_another_size_are_refused():
    with pytest.raises(InputError, match=r"images have 64 x 48 pixels, but the model takes 64 x 64.*image_size"):
        family("resnet").split(["layer2"]).lower(torch.zeros(1, 3, 64, 48).double())


def test_an_edit_that_changes_the_shape_is_refused():
    backbone = family("vit")
    path = backbone.split(["blocks.1.norm1"])
    with pytest.raises(
        ValueError, match=r"edit of blocks.1.norm1 returned \(2, 9, 24\) for an activation \(2, 10, 24\)"
    ):
        path.upper(path.lower(images_for(backbone)), lambda _, activation: activation[:, 1:])


def test_a_container_stands_for_its_last_block():
    backbone = family("resnet")
    images = images_for(backbone)
    logits = [p.upper(p.lower(images), scaled) for p in (backbone.split(["layer2"]), backbone.split(["layer2.0"]))]
    assert torch.equal(*logits)


def test_a_wrapped_model_in_place_activations_and_all_targets_at_once():
    backbone = Backbone.wrap(PlainCNN().double().eval(), image_size=32)
    images, layers = images_for(backbone), backbone.layers()
    path = backbone.split(layers[::-1])
    close(path.upper(path.lower(images), scaled), hooked_forward(backbone, layers, images, scaled))


def test_a_hook_on_a_sequence_of_blocks_is_seen_by_the_next_path():
    backbone = family("vit")
    images, layers = images_for(backbone), ["blocks.1.norm1", "blocks.2.norm1"]
    before = backbone.split(layers).lower(images)
    handle = backbone.model.blocks.register_forward_hook(lambda module, args, output: 2 * output + 1)
    path = backbone.split(layers)
    close(path.upper(path.lower(images), scaled), hooked_forward(backbone, layers, images, scaled))
    assert "blocks.1" in backbone.layers()
    handle.remove()
    assert torch.equal(backbone.split(layers).lower(images).stream, before.stream)


def test_an_activation_that_an_edit_keeps_is_not_written_into():
    backbone = family("wrapped_sequential")
    images, path = images_for(backbone), backbone.split(["0", "1", "4"])  # in-place ReLU follow 1 and 4
    kept = []
    path.upper(path.lower(images), lambda _, activation: kept.append(activation) or activation)
    layers = backbone.model
    close(kept[1], layers[1](layers[0](images)))
    assert kept[1].min() < 0
    assert kept[2].min() < 0
