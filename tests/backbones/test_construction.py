import huggingface_hub.constants
import pytest
import timm
from timm.layers import set_fused_attn, use_fused_attn

from lit_coiba.backbones.construction import build, preprocessing_of
from lit_coiba.core.errors import InputError


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("vit_smal_patch16_224", r"no model 'vit_smal_patch16_224': did you mean vit_small_patch16_224,"),
        ("qqqq", r"no model 'qqqq': timm.list_models\(\)"),
        ("hf-hub:someone/model", "no model"),
        ("resnet18.mine", r"no pretrained weights 'resnet18.mine': choose resnet18, resnet18.a1_in1k"),
    ],
)
def test_unknown_names_are_refused_with_near_ones(name, says):
    with pytest.raises(InputError, match=says):
        build(name)


def test_unknown_arguments_are_refused_by_name():
    with pytest.raises(InputError, match=r"cannot build resnet18 with foo=1 .*'foo'.*change timm_kwargs"):
        build("resnet18", foo=1)


@pytest.mark.parametrize("tag", ["", ".a1_in1k"])
def test_pretrained_weights_offline_name_the_remedy(tag, monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        InputError, match=r"weights of resnet18.* cannot be downloaded .*a local file as checkpoint"
    ) as caught:
        build(f"resnet18{tag}", pretrained=True, cache_dir=str(tmp_path))
    assert "\n" not in str(caught.value)


def test_nothing_is_downloaded_unless_asked_for(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("download")

    monkeypatch.setattr(timm.models._builder, "load_pretrained", refuse)
    assert build("resnet18.a1_in1k", channels=(4, 4, 4, 4)).num_classes == 1000


def test_the_image_size_goes_to_models_that_are_built_for_one():
    small = {"depth": 1, "embed_dim": 12}
    assert build("vit_tiny_patch16_224", image_size=(32, 64), **small).patch_embed.grid_size == (2, 4)
    assert build("resnet18", image_size=(32, 64), channels=(4, 4, 4, 4)).num_classes == 1000


def test_the_global_switch_for_fused_attention_stays_as_it_is():
    before = use_fused_attn()
    try:
        for flag in (False, True):
            set_fused_attn(flag)
            build("vit_tiny_patch16_224", depth=1, embed_dim=12)
            assert use_fused_attn() == flag
    finally:
        set_fused_attn(before)


def test_preprocessing_is_that_of_timm_unless_overridden():
    model = build("tf_efficientnet_lite0")
    found = preprocessing_of(model)
    assert (found.size, found.crop_pct, found.interpolation) == ((224, 224), 0.875, "bicubic")
    assert found.mean == found.std == (0.5, 0.5, 0.5)
    given = preprocessing_of(model, (96, 64), (0.1, 0.2, 0.3), (1.0, 2.0, 3.0), "bilinear", 1.0)
    assert (given.size, given.crop_pct, given.interpolation) == ((96, 64), 1.0, "bilinear")
    assert (given.mean, given.std) == ((0.1, 0.2, 0.3), (1.0, 2.0, 3.0))


def test_preprocessing_follows_the_size_that_the_model_was_built_for():
    model = build("vit_tiny_patch16_224", depth=1, embed_dim=12, img_size=48)
    assert preprocessing_of(model).size == (48, 48)


def test_wrong_preprocessing_is_refused():
    model = build("resnet18", channels=(4, 4, 4, 4))
    with pytest.raises(InputError, match="interpolation is 'cubic': choose nearest, bilinear, bicubic"):
        preprocessing_of(model, interpolation="cubic")
    with pytest.raises(InputError, match="std has 1 values: give one for each of the 3 channels"):
        preprocessing_of(model, std=(0.5,))
