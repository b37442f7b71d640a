import pytest
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from tests.backbones.families import TINY_VIT, family


def norms(start, end):
    return [f"blocks.{i}.norm1" for i in range(start, end)]


def built(name, image_size=None, **arguments):
    return Backbone(name, image_size=image_size, num_classes=3, timm_kwargs=arguments)


@pytest.mark.parametrize("depth", [1, 3, 6, 12])
def test_a_transformer_begins_at_a_third_of_its_depth(depth):
    backbone = built("vit_tiny_patch16_224", 32, **(TINY_VIT | {"depth": depth}))
    assert backbone.default_layers() == norms(depth // 3, depth)
    assert backbone.candidate_layers() == norms(0, depth)


@pytest.mark.parametrize("name", ["deit_distilled", "dinov2_registers"])
def test_so_do_its_relatives(name):
    assert family(name).default_layers() == norms(1, 3)


@pytest.mark.parametrize("name", ["eva", "vit_map", "vit_average"])
def test_where_patches_are_read_behind_the_last_block_it_takes_outputs_of_blocks(name):
    assert family(name).default_layers() == ["blocks.1", "blocks.2"]
    assert family(name).candidate_layers() == ["blocks.0", "blocks.1", "blocks.2"]


@pytest.mark.parametrize(
    ("name", "image_size", "arguments", "expected"),
    [
        ("tf_efficientnet_lite0", 224, {}, ["blocks.4.0", "blocks.4.1", "blocks.4.2"]),
        ("mobilenetv3_small_050", 224, {}, ["blocks.3.0", "blocks.3.1"]),
        ("resnet18", 224, {"channels": (8, 8, 8, 8)}, ["layer3.0", "layer3.1"]),
        ("resnet18", 64, {"channels": (8, 8, 8, 8)}, ["layer1.0", "layer1.1"]),
        ("resnet18", (64, 96), {"channels": (8, 8, 8, 8)}, ["layer1.0", "layer1.1"]),
        ("resnet18", 32, {"channels": (8, 8, 8, 8)}, ["layer1.0", "layer1.1"]),  # 8 x 8 is the finest there is
        (
            "swin_tiny_patch4_window7_224",
            224,
            {"embed_dim": 8, "num_heads": (1, 1, 1, 1), "depths": (1, 1, 3, 1)},
            ["layers.2.blocks.0", "layers.2.blocks.1", "layers.2.blocks.2"],
        ),
        (
            "convnext_atto",
            224,
            {"depths": (1, 1, 2, 1), "dims": (8, 8, 8, 8)},
            ["stages.2.blocks.0", "stages.2.blocks.1"],
        ),
        (
            "pvt_v2_b0",
            224,
            {"embed_dims": (8, 8, 8, 8), "num_heads": (1, 1, 1, 1)},
            ["stages.2.blocks.0", "stages.2.blocks.1"],
        ),
        ("regnetx_002", 224, {}, ["s3"]),  # no sequence of blocks: where timm taps features
    ],
)
def test_others_take_the_deepest_stage_with_twelve_cells(name, image_size, arguments, expected):
    backbone = built(name, image_size, **arguments)
    assert backbone.default_layers() == expected
    assert backbone.candidate_layers() == expected


def test_of_a_plain_sequence_its_members_on_the_deepest_grid():
    assert family("wrapped").default_layers() == ["body.3", "body.4", "body.5"]
    assert family("wrapped_sequential").default_layers() == ["3", "4", "5"]


def test_a_model_without_sequences_asks_for_layers():
    class Single(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 1)

        def forward(self, images):
            return self.conv(images).mean((2, 3))

    backbone = Backbone.wrap(Single(), image_size=16)
    with pytest.raises(InputError, match="name the bottleneck layers in layers"):
        backbone.default_layers()
    with pytest.raises(InputError, match="no layer 'xyz': choose conv"):
        backbone.grid("xyz")
