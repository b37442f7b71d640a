"""Tiny random timm models whose weights are large enough that gradients are not negligible."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.bottlenecks import ActivationStatistics, LeakTest, estimate_statistics
from lit_coiba.functional import noise
from lit_coiba.heads import InfoDisentHead
from tests._testers.twins import Place

CLASSES = 10


def vit(**arguments) -> Backbone:
    """Six blocks, 16 patches and CLS, 32 channels, images of 32 x 32 pixels."""
    sizes = {"patch_size": 8, "embed_dim": 32, "depth": 6, "num_heads": 4}
    return _tiny("vit_tiny_patch16_224", 32, **{**sizes, **arguments})


def vit_with_registers() -> Backbone:
    """`vit` with two register tokens behind CLS, and three blocks."""
    return _tiny("vit_tiny_patch16_224", 32, patch_size=8, embed_dim=32, depth=3, num_heads=4, reg_tokens=2)


def resnet(**arguments) -> Backbone:
    """ResNet with three blocks in its second stage, on 8 x 8 places; smooth, so that rounding moves no gradient far."""
    arguments = {"act_layer": "silu", **arguments}
    return _tiny("resnet18", 64, layers=[1, 3, 1, 1], channels=(16, 16, 24, 32), **arguments)


def swin(**arguments) -> Backbone:
    """Two stages of two and three blocks, on 8 x 8 and 4 x 4 places; windows of 4, every second one shifted."""
    sizes = {"embed_dim": 16, "depths": (3, 2), "num_heads": (2, 2), "window_size": 4}
    return _tiny("swin_tiny_patch4_window7_224", 32, **sizes, **arguments)


def infodisent() -> Backbone:
    """`vit` with a head whose channels are turned a little."""
    return with_head(vit)


def with_head(build: Callable[[], Backbone]) -> Backbone:
    """What `build` makes, with an InfoDisent head whose channels are turned a little."""
    backbone = build()
    head = InfoDisentHead(backbone.feature_channels, CLASSES, pooling="hard")
    nn.init.normal_(head.rotate.generator, generator=torch.Generator().manual_seed(3))
    backbone.attach(head)
    return backbone.eval()


def _tiny(name: str, size: int | tuple[int, int], seed: int = 0, **arguments: Any) -> Backbone:
    image_size = arguments.pop("image_size", size)
    backbone = Backbone(name, num_classes=CLASSES, timm_kwargs=arguments, image_size=image_size).eval()
    randomise(backbone, seed)
    return backbone


@torch.no_grad()
def randomise(model: nn.Module, seed: int) -> None:
    """Random weights, norms, layer scales and running statistics, none of them at its neutral value."""
    generator = torch.Generator().manual_seed(seed)

    def normal(like, scale):
        like.copy_(scale * torch.randn(like.shape, generator=generator))

    def uniform(like, low, high):
        like.copy_(low + (high - low) * torch.rand(like.shape, generator=generator))

    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            normal(parameter, 0.2)
        elif parameter.dim() == 1:  # norms, layer scales
            uniform(parameter, 0.5, 1.5)
        elif ("embed" in name and parameter.dim() == 3) or "token" in name or "table" in name:
            normal(parameter, 1.0)
        else:
            normal(parameter, (1.0 if parameter.dim() == 4 else 1.5) * parameter[0].numel() ** -0.5)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            normal(buffer, 0.3)
        elif name.endswith("running_var"):
            uniform(buffer, 0.5, 2.0)


def statistics(model: Backbone, layers: list[str], count: int = 40) -> ActivationStatistics:
    """Statistics of random images; they carry a leak test that found nothing, so that no method runs one."""
    samples = images(count, model.preprocessing.size).to(next(model.parameters()).dtype)
    nothing = LeakTest({}, 0.0, 0, tuple(model.split(layers).layers))
    return estimate_statistics(model, layers, [samples]).with_leak(nothing)


def places(model: Backbone, statistics: ActivationStatistics, copies: int = 10, seed: int = 0) -> list[Place]:
    """What the slow twins have to know: the package's statistics, and the noise that it draws for them."""
    found = []
    for i, layer in enumerate(statistics.layers):
        grid, mean = model.grid(layer), statistics.mean[layer]
        draw = partial(noise, seed, layer=i, shape=(copies, *mean.shape))
        size = (grid.height, grid.width)
        found.append(Place(layer, grid.layout, size, grid.num_prefix_tokens, mean, statistics.std[layer], draw))
    return found


def images(count: int, size: tuple[int, int], seed: int = 1) -> torch.Tensor:
    """Random images ``(count, 3, *size)``, unlike one another, with structure in cells of 8 pixels."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, size[0] // 8, size[1] // 8, generator=generator)
    fine = torch.randn(count, 3, *size, generator=generator)
    return nn.functional.interpolate(coarse, scale_factor=8, mode="nearest") + 0.5 * fine
