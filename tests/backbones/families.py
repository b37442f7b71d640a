"""Tiny models with random weights in double precision, one of every family, and the plain way to edit activations."""

import copy
import functools

import torch
from torch import nn

from lit_coiba.backbones import Backbone

TINY_VIT = {"depth": 3, "embed_dim": 24, "num_heads": 3}
TINY_SWIN = {"embed_dim": 8, "depths": (1, 1, 2, 1), "num_heads": (1, 1, 2, 2), "window_size": 4}

FAMILIES = {
    "vit": lambda: Backbone("vit_tiny_patch16_224", timm_kwargs=TINY_VIT, image_size=48),
    "vit_oblong": lambda: Backbone("vit_tiny_patch16_224", timm_kwargs=TINY_VIT, image_size=(48, 80)),
    "vit_dynamic": lambda: Backbone(
        "vit_tiny_patch16_224", timm_kwargs=TINY_VIT | {"dynamic_img_size": True}, image_size=48
    ),
    "vit_average": lambda: Backbone(
        "vit_tiny_patch16_224", timm_kwargs=TINY_VIT | {"global_pool": "avg", "class_token": False}, image_size=48
    ),
    "vit_map": lambda: Backbone("vit_tiny_patch16_224", timm_kwargs=TINY_VIT | {"global_pool": "map"}, image_size=48),
    "vit_qk_norm": lambda: Backbone("vit_tiny_patch16_224", timm_kwargs=TINY_VIT | {"qk_norm": True}, image_size=48),
    "deit_distilled": lambda: Backbone("deit_tiny_distilled_patch16_224", timm_kwargs=TINY_VIT, image_size=48),
    "dinov2_registers": lambda: Backbone(
        "vit_small_patch14_reg4_dinov2", timm_kwargs=TINY_VIT, image_size=(42, 56), num_classes=7
    ),
    "swin": lambda: Backbone("swin_tiny_patch4_window7_224", timm_kwargs=TINY_SWIN, image_size=64, num_classes=7),
    "swin_v2": lambda: Backbone("swinv2_tiny_window8_256", timm_kwargs=TINY_SWIN, image_size=64, num_classes=7),
    "convnext": lambda: Backbone(
        "convnext_atto",
        timm_kwargs={"depths": (1, 1, 2, 1), "dims": (8, 16, 24, 32)},
        image_size=(64, 96),
        num_classes=7,
    ),
    "resnet": lambda: Backbone("test_resnet", image_size=64, num_classes=7),
    "resnet18": lambda: Backbone(
        "resnet18", timm_kwargs={"channels": (8, 8, 16, 16)}, image_size=(64, 96), num_classes=7
    ),
    "efficientnet": lambda: Backbone("test_efficientnet", image_size=64, num_classes=7),
    "mobilenet": lambda: Backbone("mobilenetv3_small_050", image_size=64, num_classes=7),
    # these run whole
    "eva": lambda: Backbone(
        "eva02_tiny_patch14_224",
        timm_kwargs={"depth": 3, "embed_dim": 24, "num_heads": 3},
        image_size=42,
        num_classes=7,
    ),
    "pvt": lambda: Backbone(
        "pvt_v2_b0",
        timm_kwargs={"depths": (1, 1, 1, 1), "embed_dims": (8, 16, 24, 32), "num_heads": (1, 1, 2, 2)},
        image_size=64,
        num_classes=7,
    ),
    "wrapped": lambda: Backbone.wrap(PlainCNN(), image_size=32),
    "wrapped_sequential": lambda: Backbone.wrap(PlainCNN().body, image_size=(32, 48)),
}


class PlainCNN(nn.Module):
    """A user's own network, with the in-place activations that people write."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 5),
        )

    def forward(self, images):
        return self.body(images * 2)


def family(name: str) -> Backbone:
    """A frozen double precision backbone whose weights let every layer matter, in evaluation mode; a fresh copy."""
    return copy.deepcopy(_built(name))


@functools.cache
def _built(name: str) -> Backbone:
    torch.manual_seed(0)
    backbone = FAMILIES[name]().double().eval().requires_grad_(False)
    for module in backbone.modules():
        for parameter in module.parameters(recurse=False):
            if parameter.dim() > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
            else:
                parameter.uniform_(0.5, 1.5)
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2.0)
    return backbone


def images_for(backbone: Backbone, count: int = 2) -> torch.Tensor:
    """Random model input of the right size."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn((count, 3, *backbone.preprocessing.size), dtype=torch.float64, generator=generator)


def hooked_forward(backbone: Backbone, layers: list[str], images, edit):
    """The whole model with a hook on every target: what a path must equal."""

    def replace(index):
        return lambda module, args, output: edit(index, output)

    handles = [backbone.model.get_submodule(n).register_forward_hook(replace(i)) for i, n in enumerate(layers)]
    try:
        return backbone(images)
    finally:
        for handle in handles:
            handle.remove()


def scaled(index, activation):
    """An edit that depends on the target and on the place."""
    wave = torch.arange(activation[0].numel(), dtype=activation.dtype).sin().view_as(activation[0])
    return activation * (1 + wave) + 0.3 * (index + 1) * wave
