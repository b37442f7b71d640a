"""Another head in the place of the classifier: the same layers, the same path, and features after the final norm."""

import copy

import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.grid_head import linear_classifier
from lit_coiba.core.errors import InputError
from tests.backbones.families import FAMILIES, PlainCNN, family, images_for

TIMM = [name for name in FAMILIES if hasattr(family(name).model, "forward_features")]
AVERAGED = {  # timm's name -> arguments: the classifier is linear on averaged features
    "resnet18": {"channels": [8, 8, 16, 16]},
    "convnext_atto": {"depths": [1, 1, 1, 1], "dims": [8, 8, 16, 16]},
    "swin_tiny_patch4_window7_224": {"embed_dim": 16, "depths": [1] * 4, "num_heads": [1, 1, 2, 2], "window_size": 2},
    "test_efficientnet": {},
    "densenet121": {"growth_rate": 4, "block_config": (1, 1, 1, 1)},
    "mobilenetv2_050": {},
}


class Peak(nn.Module):
    """Logits from the largest value of each channel: what averaged features could not tell."""

    num_classes = 5

    def __init__(self, channels):
        super().__init__()
        self.weights = nn.Linear(channels, 5)

    def forward(self, features):
        assert features.dim() == 4
        return self.weights(features.amax((-2, -1)))


def headed(name):
    backbone = family(name)
    backbone.attach(Peak(backbone.feature_channels).to(next(backbone.parameters()).dtype))
    return backbone.eval()


@pytest.mark.parametrize("name", TIMM)
def test_logits_are_the_heads_on_the_features(name):
    backbone = headed(name)
    images = images_for(backbone)
    features = backbone.features(images)
    assert features.shape[:2] == (len(images), backbone.feature_channels)
    torch.testing.assert_close(backbone(images), backbone.head(features))
    assert backbone(images).shape[1] == backbone.num_classes == 5


@pytest.mark.parametrize("name", TIMM)
def test_layers_and_path_are_as_before(name):
    before, backbone = family(name), headed(name)
    images = images_for(backbone)
    assert [layer for layer in before.layers() if layer in backbone.layers()] == backbone.layers()
    layers = before.default_layers()  # the head reads patches behind the last block, round its first norm
    assert backbone.default_layers() in (layers, [layer.removesuffix(".norm1") for layer in layers])
    path = backbone.split(backbone.default_layers())
    torch.testing.assert_close(path.upper(path.lower(images), lambda _, x: x), backbone(images))


@pytest.mark.parametrize("name", TIMM)
def test_a_copy_and_a_state_dict_have_the_head_once(name):
    backbone = headed(name)
    images, twin = images_for(backbone), copy.deepcopy(backbone)
    with torch.no_grad():
        twin.head.weights.bias += 1
    torch.testing.assert_close(twin(images), backbone(images) + 1)
    state = backbone.state_dict()
    assert len({tensor.data_ptr() for tensor in state.values() if tensor.numel()}) == len(
        [tensor for tensor in state.values() if tensor.numel()]
    )
    twin.load_state_dict(state)
    torch.testing.assert_close(twin(images), backbone(images))
    assert twin.digest() == backbone.digest() != family(name).digest()


@pytest.mark.parametrize("name", AVERAGED)
def test_averaged_features_are_what_the_own_classifier_reads(name):
    torch.manual_seed(0)
    backbone = Backbone(name, num_classes=7, image_size=64, timm_kwargs=AVERAGED[name]).double().eval()
    for module in backbone.modules():
        if isinstance(module, nn.LayerNorm):  # one that does more than nothing
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    images = torch.randn(3, 3, 64, 64).double()
    weight, bias = linear_classifier(backbone.model)
    averaged = backbone.features(images).mean((-2, -1))
    torch.testing.assert_close(averaged @ weight.T + bias, backbone(images), rtol=1e-10, atol=1e-12)


def test_what_the_logits_do_not_depend_on_needs_no_gradient():
    backbone = Backbone("mobilenetv3_small_050", image_size=64)  # its classifier has a convolution of its own
    backbone.attach(Peak(backbone.feature_channels))
    backbone(torch.randn(2, 3, 64, 64)).sum().backward()
    asked = {name: parameter for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    assert all(parameter.grad is not None for parameter in asked.values())
    assert len(asked) < len(dict(backbone.named_parameters()))


def test_a_second_head_takes_the_place_of_the_first():
    backbone = headed(TIMM[0])
    first = backbone.head
    backbone.attach(Peak(backbone.feature_channels).to(next(backbone.parameters()).dtype))
    assert backbone.head is not first
    assert sum(isinstance(module, Peak) for module in backbone.modules()) == 1


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="PlainCNN is not a timm model"):
        Backbone.wrap(PlainCNN(), image_size=32).attach(Peak(8))
    backbone = Backbone("resnet18", image_size=64, timm_kwargs=AVERAGED["resnet18"])
    with pytest.raises(InputError, match="the head does not fit the features of ResNet"):
        backbone.attach(Peak(3))
    with pytest.raises(InputError, match="has no linear classifier of its own"):
        linear_classifier(PlainCNN())
