"""Stages without strides: the same weights, a finer grid, and at every second place what was there before."""

import functools
from collections import OrderedDict

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.strides import DenseAveragePool, remove_strides, strided_stages
from lit_coiba.core.errors import InputError
from tests._testers.tiny import randomise

NARROW = {"channels": [8, 8, 16, 16]}


def narrow(name="resnet50", **arguments):
    return Backbone(name, num_classes=5, timm_kwargs={"stem_width": 8, **NARROW}, **arguments)


def test_the_maps_of_a_high_resolution_resnet_have_four_times_the_side(tmp_path):
    """Check 9 of BR-NPA in docs/checks.md, at 448 pixels."""
    low = narrow(image_size=448)
    save_file(low.model.state_dict(), tmp_path / "low.safetensors")
    high = narrow(image_size=448, checkpoint=str(tmp_path / "low.safetensors"), unstrided_stages=2)
    high.model.load_state_dict(low.model.state_dict(), strict=True)
    images = torch.randn(1, 3, 448, 448)
    with torch.no_grad():
        assert low.eval().features(images).shape == (1, 64, 14, 14)
        assert high.eval().features(images).shape == (1, 64, 56, 56)
    grid = high.grid("layer4")
    assert (grid.height, grid.width) == (56, 56)
    for module in high.modules():
        assert getattr(module, "dilation", 1) in (1, (1, 1))
    for name, tensor in low.model.state_dict().items():
        assert torch.equal(high.model.state_dict()[name], tensor)


def test_the_strides_are_in_the_first_block_of_a_stage_and_in_its_shortcut():
    def strides(model):
        return {n: m.stride[0] for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and m.stride[0] > 1}

    low, high = narrow().model, narrow(unstrided_stages=2).model
    stem, second = {"conv1": 2}, {"layer2.0.conv2": 2, "layer2.0.downsample.0": 2}
    rest = {f"layer{k}.0.{name}": 2 for k in (3, 4) for name in ("conv2", "downsample.0")}
    assert strides(low) == stem | second | rest
    assert strides(high) == stem | second


# Anti-aliased, averaging and split shortcuts and blocks; paddings of PyTorch and of TensorFlow.
LAST = {
    "resnet18": "layer4",
    "resnet50d": "layer4",
    "resnetaa50d": "layer4",
    "resnetblur50": "layer4",
    "skresnet18": "layer4",
    "res2net50_26w_4s": "layer4",
    "regnety_002": "s4",
    "mobilenetv2_050": "blocks.5",
    "tf_efficientnet_lite0": "blocks.5",
}


@functools.cache
def with_and_without(name):
    """The same weights with the last stride and without it."""
    small = {"channels": (16, 16, 32, 32)} if "resnet" in name else {}
    first, second = (timm.create_model(name, num_classes=2, **small).eval() for _ in range(2))
    remove_strides(second, 1)
    second.load_state_dict(first.state_dict(), strict=True)
    return first, second


@pytest.mark.parametrize("name", LAST)
def test_the_same_weights_give_twice_the_side(name):
    first, second = with_and_without(name)
    assert strided_stages(first)[-1] == LAST[name]
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        coarse, fine = (model.forward_features(images).shape for model in (first, second))
    assert coarse[2:] == (2, 2)
    assert fine[2:] == (4, 4)
    assert coarse[1] == fine[1]


def layers(model, stage):
    return {name: module for name, module in model.get_submodule(stage).named_modules() if not any(module.children())}


@pytest.mark.parametrize("side", [12, 13])
@pytest.mark.parametrize("name", LAST)
def test_each_layer_gives_at_every_second_place_what_it_gave(name, side):
    first, second = (layers(model, LAST[name]) for model in with_and_without(name))
    found = {layer: module for layer, module in first.items() if getattr(module, "stride", 1) in (2, (2, 2))}
    assert found
    assert not any(getattr(module, "stride", 1) in (2, (2, 2)) for module in second.values())
    for layer, strided in found.items():
        channels = getattr(strided, "in_channels", None) or getattr(strided, "channels", None) or 6
        images = torch.randn(2, channels, side, side)
        with torch.no_grad():
            before, after = strided(images), second[layer](images)
        assert after.shape[-2:] == (side, side)
        start = 1 if name.startswith("tf_") and side == 12 else 0  # TensorFlow pads even sides at their ends alone
        among = after[..., start::2, start::2][..., : before.shape[-2], : before.shape[-1]]  # some drop an odd column
        torch.testing.assert_close(among, before, rtol=1e-5, atol=1e-5)


def test_the_last_block_of_a_network_gives_at_every_second_place_what_it_gave():
    """In a bottleneck only a 1 x 1 convolution follows the stride, in both of its branches."""
    low, high = (Backbone("resnet50d", num_classes=2, timm_kwargs=NARROW, unstrided_stages=k) for k in (0, 1))
    randomise(low, 0)
    high.model.load_state_dict(low.model.state_dict())
    features = torch.rand(2, 64, 9, 9)  # of layer3
    with torch.no_grad():
        coarse, fine = (model.eval().model.layer4[0](features.clone()) for model in (low, high))
    torch.testing.assert_close(fine[..., ::2, ::2], coarse, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("side", [4, 5])
def test_the_average_is_of_each_place_and_its_right_and_lower_neighbours(side):
    images = torch.randn(1, 1, side, side, dtype=torch.float64)
    found = DenseAveragePool()(images)[0, 0]
    expected = [[images[0, 0, i : i + 2, j : j + 2].mean() for j in range(side)] for i in range(side)]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_strides_count_in_the_digest_and_in_the_arguments():
    low = narrow()
    digests = {low.digest()}
    for stages in (1, 2, 3):
        high = narrow(unstrided_stages=stages)
        high.model.load_state_dict(low.model.state_dict())
        digests |= {high.digest(), Backbone.wrap(high.model, low.preprocessing).digest()}
        again = Backbone(**high.arguments)
        again.model.load_state_dict(high.model.state_dict())
        assert again.digest() == high.digest()
        assert again.grid("layer4") == high.grid("layer4")
    assert len(digests) == 7


def test_none_is_what_it_was():
    """Stores that are there already are of the same model."""
    explicit, old = narrow(unstrided_stages=0), narrow()
    explicit.model.load_state_dict(old.model.state_dict())
    del old.arguments["unstrided_stages"]
    assert explicit.digest() == old.digest()


@pytest.mark.parametrize(
    ("name", "stages", "sentence"),
    [
        ("vit_tiny_patch16_224", 1, "VisionTransformer has no known stages with a stride: it supports ResNets"),
        ("convnext_atto", 2, "ConvNeXt has no known stages"),
        ("resnet18", 4, r"ResNet has 3 stages with a stride \(layer2, layer3, layer4\): give 0 to 3"),
        ("resnet18", -1, "unstrided_stages is -1"),
    ],
)
def test_models_that_cannot(name, stages, sentence):
    with pytest.raises(InputError, match=sentence):
        Backbone(name, unstrided_stages=stages)


def test_a_layer_that_cannot_do_without_its_stride():
    patches = nn.Sequential(nn.Conv2d(4, 4, 2, 2), nn.Conv2d(4, 4, 3, 2, padding=1))
    model = nn.Sequential(OrderedDict(layer1=patches, layer2=nn.Conv2d(4, 4, 3, 2, padding=1)))
    before = repr(model)
    with pytest.raises(
        InputError, match=r"layer1\.0 of Sequential cannot lose its stride \(Conv2d\): give a smaller number"
    ):
        remove_strides(model, 2)
    assert repr(model) == before  # it stays as it is
    remove_strides(model, 1)
    assert model(torch.zeros(1, 4, 16, 16)).shape == (1, 4, 4, 4)
