"""Kind G, and default layers off the path: what is taken where no layer is named carries all that the logits read."""

import warnings

import pytest
import timm
import torch
from torch import nn

from lit_coiba import attribution
from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.heads import LinearHead
from tests.faults.nets import SIZE, Decoding, Transformer, images

TINY = {"depth": 3, "embed_dim": 24, "num_heads": 3}


def test_a_decoder_beside_the_path_is_no_default():
    model = Backbone.wrap(Decoding().eval(), image_size=SIZE)
    assert model.cam_layer() == "f"
    assert model.default_layers() == ["f.2", "f.3"]
    assert model.report.beside == ("decoder.0", "decoder.1", "decoder")
    for name in ("GradCAM", "ScoreCAM"):
        named = getattr(attribution, name)(layer="f").attribute(model, images())
        assert torch.equal(getattr(attribution, name)().attribute(model, images()), named)


@pytest.mark.parametrize(
    ("name", "arguments", "layer"),
    [
        ("vit_tiny_patch16_224", {}, "blocks.2.norm1"),
        ("vit_tiny_patch16_224", {"global_pool": "avg", "class_token": False}, "blocks"),  # its norm is behind the mean
        ("vit_tiny_patch16_224", {"global_pool": "map"}, "norm"),
        ("cait_xxs24_224", {}, "blocks"),
        ("xcit_nano_12_p16_224", {}, "blocks.2"),
    ],
)
def test_of_transformers_it_is_the_last_through_which_patches_are_read(name, arguments, layer):
    model = Backbone(name, num_classes=5, timm_kwargs=TINY | arguments, image_size=64).eval()
    noisy(model)
    found = model.cam_layer()
    assert found == layer or name.startswith("xcit")
    assert not model.report.cam_round


def test_a_last_block_that_passes_its_input_on_does_not_blind_the_maps():
    """`vit_base_patch16_gap_224` with a last block of zeros: maps were zero everywhere."""
    arguments = {"global_pool": "avg", "class_token": False, "fc_norm": False}
    model = Backbone("vit_tiny_patch16_224", num_classes=5, timm_kwargs=TINY | arguments, image_size=64).eval()
    noisy(model)
    for part in (model.model.blocks[-1].attn.proj, model.model.blocks[-1].mlp.fc2):
        nn.init.zeros_(part.weight)
        nn.init.zeros_(part.bias)
    assert model.cam_layer() == "norm"
    for name in ("GradCAM", "HiResCAM", "LayerCAM"):
        assert getattr(attribution, name)().attribute(model, images(2, 64)).any()
    given = images(2, 64)
    whole = attribution.HiResCAM(relu=False).attribute(model, given, 1).sum((1, 2))
    with torch.no_grad():
        logit = model(given)[:, 1] - model.model.head.bias[1]
    torch.testing.assert_close(whole, logit, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["resnet50", "seresnet50"])
def test_small_images_do_not_move_it_into_a_side_branch(name):
    model = Backbone(name, num_classes=5, image_size=64, timm_kwargs={"layers": (1, 1, 1, 1)}).eval()
    assert model.cam_layer() == "layer3"
    assert "layer3" in model.report.cuts


def test_of_torch_s_transformer_it_is_the_norm_that_begins_the_last_block():
    model = Backbone.wrap(Transformer("rows").eval(), image_size=SIZE)
    assert model.cam_layer() == "encoder.layers.1.norm1"
    for name in ("GradCAM", "HiResCAM", "LayerCAM", "ScoreCAM"):
        assert getattr(attribution, name)().attribute(model, images()).any()


def test_a_head_that_reads_patches_moves_it():
    model = Backbone("vit_tiny_patch16_224", num_classes=5, timm_kwargs=TINY, image_size=64).eval()
    assert model.cam_layer() == "blocks.2.norm1"
    model.attach(LinearHead(24, 5))
    assert model.eval().cam_layer() == "norm"
    assert model.default_layers() == ["blocks.1", "blocks.2"]


@pytest.mark.parametrize("name", ["tnt_s_patch16_224", "crossvit_tiny_240"])
def test_where_there_is_none_a_sentence_says_what_goes_round(name):
    depth = {"depth": 2} if name.startswith("tnt") else {}
    model = Backbone(name, num_classes=5, timm_kwargs=depth).eval()
    size = model.preprocessing.size[0]
    with pytest.warns(UserWarning, match=r"\d+% of what distinguishes the logits of two images goes round") as told:
        maps = attribution.GradCAM(relu=False).attribute(model, images(1, size), 1)
    assert maps.any()
    assert len(str(told[0].message)) < 500
    with warnings.catch_warnings():  # once for a model
        warnings.simplefilter("error")
        model.cam_layer()


def test_where_cls_joins_on_the_way_bottlenecks_have_one_layout():
    """ConViT: `CoIBA()` asked for layers by name."""
    sizes = {"depth": 3, "embed_dim": 32, "num_heads": 4, "local_up_to_layer": 2, "use_pos_embed": False}
    model = Backbone("convit_tiny", num_classes=5, timm_kwargs=sizes, image_size=64).eval()
    assert model.default_layers() == ["blocks.0", "blocks.1"]
    method = attribution.CoIBA(steps=2, copies=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        method.prepare(model, [images(4, 64)])
    assert method.attribute(model, images(1, 64)).shape == (1, 4, 4)


def test_features_of_two_branches_are_refused():
    """CrossViT: `Backbone.features` was an AttributeError."""
    model = Backbone("crossvit_tiny_240", num_classes=5).eval()
    with pytest.raises(InputError, match="no features on one grid: its forward_features puts out a list of 2"):
        model.features(images(1, 240))
    with pytest.raises(InputError, match="no features on one grid"):
        assert model.feature_channels


def test_a_model_without_parameters():
    class Closed(nn.Module):
        def forward(self, x):
            return torch.stack([x[:, :, :16].mean((1, 2, 3)), x[:, :, 16:].mean((1, 2, 3))], 1)

    model = Backbone.wrap(Closed(), image_size=SIZE)
    assert "2 classes" in str(model.report)
    for name in ("Saliency", "RISE", "Occlusion", "InputXGradient", "HSIC"):
        assert getattr(attribution, name)().attribute(model, images(), 0).any()
    for name in ("CompositeLRP", "GradCAM", "CoIBA", "HeadAttribution", "UNI"):
        with pytest.raises(InputError):
            getattr(attribution, name)().attribute(model, images(), 0)


@torch.no_grad()
def noisy(model):
    """Weights of which none is at its neutral value."""
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        values = torch.randn(parameter.shape, generator=generator)
        parameter.copy_(values * parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 1 + 0.2 * values)


def test_timm_s_twin_of_a_wrapped_model_has_the_same_defaults():
    model = timm.create_model("vit_tiny_patch16_224", num_classes=5, img_size=64, **TINY).eval()
    built = Backbone("vit_tiny_patch16_224", num_classes=5, timm_kwargs=TINY, image_size=64)
    wrapped = Backbone.wrap(model, image_size=64)
    assert wrapped.cam_layer() == built.cam_layer()
    assert wrapped.default_layers() == built.default_layers()
