"""Layers that the network overwrites next, models without weights, and forwards that look at shapes are explained."""

from __future__ import annotations

import pytest
import torch
import torchvision
from timm.models.vgg import VGG
from torch import nn

from lit_coiba.attribution import NIB, CompositeLRP, DeepLift, GradCAM, HiResCAM, LayerCAM, Saliency
from lit_coiba.backbones import Backbone
from tests._testers import tiny
from tests._testers.model_state import assert_near


def torchvision_resnet(inplace: bool) -> Backbone:
    torch.manual_seed(0)
    network = torchvision.models.resnet18(num_classes=4).eval()
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = inplace
    return Backbone.wrap(network.double(), image_size=64)


@pytest.mark.parametrize("layer", ["layer4.1.bn2", "layer4.1.bn1", "layer1.0.bn1", "bn1", "layer2.0.downsample.1"])
def test_gradients_of_layers_that_are_overwritten_next(layer):
    """RuntimeError: a leaf Variable that requires grad is being used in an in-place operation."""
    image = tiny.images(1, (64, 64)).double()
    writing, plain = torchvision_resnet(True), torchvision_resnet(False)
    for method in (HiResCAM(layer), LayerCAM(layer), GradCAM(layer), NIB(layer, steps=2)):
        assert_near(method.attribute(writing, image, 1), method.attribute(plain, image, 1), 1e-10)


class ClosedForm(nn.Module):
    """A classifier without weights."""

    num_classes = 2

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        left, right = images[..., :4].relu().mean((1, 2, 3)), images[..., 4:].relu().mean((1, 2, 3))
        return torch.stack([left, right], 1)


def test_models_without_parameters():
    """CompositeLRP: StopIteration."""
    model, image = Backbone.wrap(ClosedForm().eval(), image_size=8), torch.rand(1, 3, 8, 8) + 0.1
    for method in (Saliency("sum"), DeepLift(), *([CompositeLRP("epsilon")] if zennit else [])):
        maps = method.attribute(model, image, 1)
        assert maps[..., :4].abs().max() < 1e-6 < maps[..., 4:].min()


zennit = pytest.importorskip("zennit", reason="the extra lrp is not installed")


def test_timms_vgg_is_explained():
    """Its ConvMlp asks whether the image is smaller than its kernel."""
    torch.manual_seed(0)
    network = VGG([8, "M", 16, "M"], num_classes=5, mlp_ratio=0.01).eval()
    for side in (32, 16):  # as large as the kernel at the end, and smaller
        model = Backbone.wrap(network.double(), image_size=side)
        explained = CompositeLRP("epsilon").explain(model, tiny.images(2, (side, side)).double(), 1)
        assert explained.maps.shape == (2, side, side)
        assert_near(explained.extras["relevance"], model(tiny.images(2, (side, side)).double())[:, 1].detach(), 1e-10)


def test_norms_over_the_input_keep_the_relevance():
    """Their standard deviation counts as a constant (Ali et al., 2022); nothing but biases is lost."""
    sizes = {"depths": (1, 1, 1, 1)}
    model = Backbone("convnext_atto", num_classes=3, image_size=64, timm_kwargs=sizes).eval().double()
    torch.manual_seed(0)
    for key, values in model.named_parameters():
        if key.endswith("bias"):
            values.data.zero_()
        elif "gamma" in key or "scale" in key:
            values.data.fill_(0.5)
        elif values.dim() > 1:
            values.data.normal_(0, values[0].numel() ** -0.5)
    explained = CompositeLRP("epsilon", epsilon=1e-9).explain(model, tiny.images(2, (64, 64)).double(), 1)
    assert_near(explained.extras["attribution_sum"], explained.extras["relevance"], 1e-3)


def test_what_a_rule_loses_is_told():
    """z+ loses where convolutions end without a ReLU: .07 of the logit (MobileNetV4) to 5.4 times (MobileOne)."""
    model = tiny.resnet(act_layer="silu").double()
    image = tiny.images(2, (64, 64)).double()
    for composite in ("epsilon", "epsilon_plus"):
        explained = CompositeLRP(composite).explain(model, image, 1)
        assert_near(explained.extras["relevance"], model(image)[:, 1].detach(), 1e-10)
        assert_near(explained.extras["attribution_sum"], explained.maps.sum((1, 2)), 1e-10)
