"""Shapes of grids that are none: a map made of them would be a picture of nothing."""

import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from tests.backbones.families import TINY_VIT


def outputs(model, layers):
    """What layers return for two images that differ by a random one, ``(2, ...)`` each."""
    found = {}
    for layer in layers:
        module = model.model.get_submodule(layer)
        module.register_forward_hook(lambda module, args, output, layer=layer: found.update({layer: output}))
    with torch.no_grad():
        model.eval()(torch.randn(2, 3, *model.preprocessing.size, generator=torch.Generator().manual_seed(0)))
    return found


def tiny(name, size, **arguments):
    torch.manual_seed(0)
    return Backbone(name, image_size=size, num_classes=5, timm_kwargs=arguments).eval()


def test_attention_weights_inside_a_feature_map():
    model = tiny("visformer_tiny", 112, embed_dim=24, depth=(1, 2, 1), num_heads=3)
    layer = "stage2.0.attn.attn_drop"
    weights = outputs(model, [layer])[layer]
    assert weights.shape == (2, 3, 49, 49)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 3, 49))
    assert layer not in model.layers()
    assert {"stage2.0.attn", "stage2.0.attn.proj_drop", "stage2.0.mlp.drop1", "stage2.0"} <= set(model.layers())


def test_tokens_of_a_window_that_is_wider_than_the_feature_map():
    sizes = {"embed_dims": (16, 32, 48, 64), "depths": (1, 1, 1, 1), "num_heads": (1, 1, 3, 4)}
    model = tiny("tiny_vit_5m_224", 112, **sizes)
    layer, block = "stages.2.blocks.0.attn.norm", "stages.2.blocks.0"
    seen = outputs(model, [layer, block])
    assert seen[block].shape == (2, 7, 7, 48)
    places = (seen[layer][0] - seen[layer][1]).reshape(14, 14, 48).abs().amax(-1)
    assert places[:7, :7].all()
    assert not places[7:].any()  # padding
    assert not places[:, 7:].any()
    inner = [name for name in model.layers() if name.startswith("stages.2.blocks.0.attn")]
    assert not inner
    assert {block, "stages.2.blocks.0.mlp", "stages.1.blocks.0"} <= set(model.layers())


def test_tokens_of_a_window_as_wide_as_the_feature_map_are_its_places():
    sizes = {"embed_dims": (16, 32, 48, 64), "depths": (1, 1, 1, 1), "num_heads": (1, 1, 3, 4)}
    model = tiny("tiny_vit_5m_224", 224, **sizes)
    assert model.grid("stages.2.blocks.0.attn").width == 14


def test_padded_windows_with_channels_last():
    model = tiny("samvit_base_patch16_224", 112, embed_dim=24, depth=2, num_heads=3, global_attn_indexes=())
    assert model.grid("blocks.1").width == 7
    assert {model.grid(name).width for name in model.layers() if name.startswith("blocks.")} == {7}


def test_hidden_states_are_no_places():
    """49, 25 and 9 states look like squares of places; the default layer of class maps was one of them."""
    model = tiny("efficientvim_m1", 112, embed_dim=(16, 24, 32), depths=(1, 1, 1))
    assert {model.grid(name).layout for name in model.layers()} == {"channels_first"}
    assert "norm.1" not in model.layers()
    with pytest.warns(UserWarning, match="a map shows a part"):
        assert model.cam_layer().startswith("stages.")


class Sequence(nn.Module):
    """Mixes places along one axis, with channels first."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, 8)
        self.mix = nn.Conv1d(16, 16, 3, padding=1)
        self.norm = nn.BatchNorm1d(16)
        self.fc = nn.Linear(16, 5)

    def forward(self, images):
        maps = self.patches(images)
        return self.fc(self.norm(self.mix(maps.flatten(2))).mean(-1))


def test_channels_of_a_sequence_are_no_places():
    model = Backbone.wrap(Sequence().eval(), image_size=(32, 40))
    assert list(model.layers()) == ["patches"]


class Reduced(nn.Module):
    """A dropout on 16 x 16 places in a module that puts out 4 x 4: no attention weights."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.Dropout(), nn.Softmax(1), nn.MaxPool2d(4))
        self.fc = nn.Linear(8, 5)

    def forward(self, images):
        return self.fc(self.stem(images).mean((2, 3)))


def test_a_dropout_of_a_feature_map_keeps_its_grid():
    layers = Backbone.wrap(Reduced().eval(), image_size=64).layers()
    assert {"stem.0", "stem.1", "stem.2", "stem.3"} <= set(layers)


def test_heads_of_tokens_are_no_grid():
    model = tiny("vit_tiny_patch16_224", 64, qk_norm=True, **TINY_VIT)
    assert not any(name.endswith("q_norm") for name in model.layers())
