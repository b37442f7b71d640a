import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.grids import Metadata, grid_of
from lit_coiba.core.errors import InputError
from lit_coiba.core.grid import Grid
from tests.backbones.families import FAMILIES, TINY_VIT, family, hooked_forward, images_for

PLAIN = Metadata(prefixes=(0, 1), patches=None, channels_last=False, shuffled=False)


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((197, 768), (224, 224), ("tokens", 14, 14, 768, 1)),
        ((196, 768), (224, 224), ("tokens", 14, 14, 768, 0)),
        ((24, 8), (64, 96), ("tokens", 4, 6, 8, 0)),
        ((25, 8), (96, 64), ("tokens", 6, 4, 8, 1)),
        ((64, 14, 14), (224, 224), ("channels_first", 14, 14, 64, 0)),
        ((14, 14, 64), (224, 224), ("channels_last", 14, 14, 64, 0)),
        ((64, 5, 8), (65, 97), ("channels_first", 5, 8, 64, 0)),  # rounded at every stride
        ((8, 4, 8), (64, 128), ("channels_first", 4, 8, 8, 0)),
        ((4, 8, 8), (64, 128), ("channels_last", 4, 8, 8, 0)),
        ((512, 1, 1), (224, 224), None),  # pooled
        ((1000,), (224, 224), None),
        ((1, 768), (224, 224), None),
        ((198, 768), (224, 224), None),
        ((16, 9, 64), (224, 224), None),
        ((32, 300, 300), (224, 224), None),  # more cells than pixels
    ],
)
def test_the_shape_tells_the_grid(shape, size, expected):
    grid = grid_of("x", shape, size, PLAIN)
    if expected is None:
        assert grid is None
    else:
        assert (grid.layout, grid.height, grid.width, grid.channels, grid.num_prefix_tokens) == expected


def test_a_second_image_size_or_timm_decides_where_all_axes_are_alike():
    last = PLAIN._replace(channels_last=True)
    assert grid_of("x", (8, 8, 8), (64, 64), PLAIN, (8, 8, 16)).layout == "channels_first"
    assert grid_of("x", (8, 8, 8), (64, 64), PLAIN, (8, 16, 8)).layout == "channels_last"
    assert grid_of("x", (8, 8, 8), (64, 64), last, (8, 8, 16)).layout == "channels_first"
    assert grid_of("x", (8, 8, 8), (64, 64), PLAIN).layout == "channels_first"
    assert grid_of("x", (8, 8, 8), (64, 64), last).layout == "channels_last"


@pytest.mark.parametrize(
    ("name", "layer", "expected"),
    [
        ("vit", "blocks.0.norm1", Grid("blocks.0.norm1", "tokens", 3, 3, 24, 1)),
        ("vit", "blocks.0.attn.qkv", Grid("blocks.0.attn.qkv", "tokens", 3, 3, 72, 1)),
        ("vit", "blocks.0.mlp.fc1", Grid("blocks.0.mlp.fc1", "tokens", 3, 3, 96, 1)),
        ("vit", "patch_embed", Grid("patch_embed", "tokens", 3, 3, 24, 0)),
        ("vit", "patch_embed.proj", Grid("patch_embed.proj", "channels_first", 3, 3, 24)),
        ("vit_oblong", "blocks.1", Grid("blocks.1", "tokens", 3, 5, 24, 1)),
        ("vit_dynamic", "patch_embed", Grid("patch_embed", "channels_last", 3, 3, 24)),
        ("vit_average", "norm", Grid("norm", "tokens", 3, 3, 24, 0)),
        ("deit_distilled", "norm", Grid("norm", "tokens", 3, 3, 24, 2)),
        ("dinov2_registers", "norm", Grid("norm", "tokens", 3, 4, 24, 5)),
        ("swin", "layers.2.blocks.1", Grid("layers.2.blocks.1", "channels_last", 4, 4, 32)),
        ("swin", "layers.2.blocks.1.mlp", Grid("layers.2.blocks.1.mlp", "tokens", 4, 4, 32)),
        ("swin", "layers.3", Grid("layers.3", "channels_last", 2, 2, 64)),
        ("convnext", "stages.1", Grid("stages.1", "channels_first", 8, 12, 16)),
        ("convnext", "stages.1.blocks.0.norm", Grid("stages.1.blocks.0.norm", "channels_first", 8, 12, 16)),
        ("resnet18", "layer3.1.conv2", Grid("layer3.1.conv2", "channels_first", 4, 6, 16)),
        ("efficientnet", "conv_stem", Grid("conv_stem", "channels_first", 32, 32, 24)),
        ("pvt", "stages.2.blocks.0.norm1", Grid("stages.2.blocks.0.norm1", "tokens", 4, 4, 24)),
        ("wrapped", "body.4", Grid("body.4", "channels_first", 16, 16, 8)),
    ],
)
def test_known_layers(name, layer, expected):
    assert family(name).grid(layer) == expected


@pytest.mark.parametrize("name", FAMILIES)
def test_every_grid_has_the_shape_of_the_real_activation(name):
    backbone, seen = family(name), {}
    layers = backbone.layers()

    def record(index, output):
        seen[layers[index]] = output

    hooked_forward(backbone, layers, images_for(backbone, 3), record)
    assert list(seen) == sorted(layers, key=layers.index)
    for layer, activation in seen.items():
        grid = backbone.grid(layer)
        assert grid.to_spatial(activation).shape == (3, grid.channels, grid.height, grid.width), layer


def test_positions_are_in_reading_order():
    """One bright patch shows up in its own cell, in tokens and in cells alike."""
    for name, layer in (("vit_oblong", "patch_embed"), ("vit_oblong", "blocks.0.norm1"), ("swin", "patch_embed")):
        backbone = family(name)
        grid, found = backbone.grid(layer), []
        height, width = backbone.preprocessing.size
        blank = torch.zeros(1, 3, height, width, dtype=torch.float64)
        bright = blank.clone()
        cell = (grid.height - 1, grid.width // 2)
        rows, columns = height // grid.height, width // grid.width
        bright[..., cell[0] * rows : (cell[0] + 1) * rows, cell[1] * columns : (cell[1] + 1) * columns] = 1
        for images in (blank, bright):
            hooked_forward(backbone, [layer], images, lambda _, output, found=found: found.append(output) or output)
        changed = grid.to_spatial(found[1] - found[0]).abs().sum(1)[0]
        assert divmod(changed.argmax().item(), grid.width) == cell


class SameAxes(nn.Module):
    """Channels-first and channels-last activations whose three axes are all 8."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 1, stride=4)
        self.last = nn.Linear(8, 8)

    def forward(self, images):
        return self.last(self.first(images).permute(0, 2, 3, 1)).mean((1, 2))


def test_a_wider_image_tells_channels_first_from_channels_last():
    backbone = Backbone.wrap(SameAxes(), image_size=32)
    assert backbone.grid("first").layout == "channels_first"
    assert backbone.grid("last").layout == "channels_last"


def test_a_fixed_size_transformer_with_equal_axes_follows_timm():
    backbone = Backbone(
        "swin_tiny_patch4_window7_224",
        timm_kwargs={"embed_dim": 16, "depths": (1,), "num_heads": (1,), "window_size": 4},
        image_size=64,
        num_classes=3,
    )
    assert backbone.grid("layers.0.blocks.0").layout == "channels_last"


class Odd(nn.Module):
    """Everything that cannot be targeted."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.shared = nn.ReLU()
        self.pair = Pair()
        self.folded = nn.Linear(4, 4)
        self.unused = nn.Linear(4, 4)

    def forward(self, images):
        x = self.shared(self.shared(self.stem(images)))
        x = self.pair(x)[0]
        self.folded(x.permute(0, 2, 3, 1).flatten(0, 1))
        return x.mean((2, 3))


class Pair(nn.Module):
    def forward(self, images):
        return images, images


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        ("shared", "is called 2 times in a forward"),
        ("pair", "does not return one tensor with a row for each image"),
        ("folded", "does not return one tensor with a row for each image"),
        ("unused", "is not called in the model's forward"),
        ("stm", "has no layer 'stm': did you mean stem"),
    ],
)
def test_layers_that_cannot_be_targeted_are_refused_by_name(layer, says):
    backbone = Backbone.wrap(Odd(), image_size=8)
    assert backbone.layers() == ["stem"]
    with pytest.raises(InputError, match=says):
        backbone.grid(layer)


@pytest.mark.parametrize(
    ("name", "layer", "says"),
    [
        (
            "vit",
            "head",
            r"'head' of vit_tiny_patch16_224 has no spatial grid, since its output has shape \(1000,\).*blocks.2.norm1",
        ),
        ("vit", "blocks.0.norm3", "did you mean blocks.0.norm"),
        ("vit_qk_norm", "blocks.0.attn.q_norm", "has no spatial grid"),
        ("resnet", "fc", "choose layer1.0"),
        ("resnet", "global_pool", "has no spatial grid"),
        ("swin", "layers.0.blocks.0.attn", "does not return one tensor with a row for each image"),  # windows
    ],
)
def test_layers_of_timm_models_without_a_grid_are_refused_with_those_that_would_do(name, layer, says):
    with pytest.raises(InputError, match=says):
        family(name).grid(layer)


def test_attention_maps_are_no_grid():
    backbone = Backbone("vit_tiny_patch16_224", timm_kwargs=TINY_VIT, image_size=48)
    for block in backbone.model.blocks:
        block.attn.fused_attn = False
    with pytest.raises(
        InputError, match=r"'blocks.0.attn.attn_drop'.*no spatial grid, since its output has shape \(3, 10, 10\)"
    ):
        backbone.grid("blocks.0.attn.attn_drop")


def test_tokens_out_of_reading_order_are_refused():
    backbone = Backbone("hiera_tiny_224", timm_kwargs={"embed_dim": 12, "stages": (1, 1, 1, 1)}, image_size=64)
    with pytest.raises(InputError, match="no spatial grid"):
        backbone.grid("blocks.0")
