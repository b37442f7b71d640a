"""A model as a chain of links whose composition equals the model, so that the part below a layer need not be run again.

A family is one row of `STEPS`: attributes of its timm class in the order in which ``forward`` applies them. A class
without a row is one link, the whole model: slower, with the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from timm.models.convnext import ConvNeXt, ConvNeXtStage
from timm.models.deit import VisionTransformerDistilled
from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3
from timm.models.resnet import ResNet
from timm.models.swin_transformer import SwinTransformer, SwinTransformerStage
from timm.models.swin_transformer_v2 import SwinTransformerV2, SwinTransformerV2Stage
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from lit_coiba.lipschitz.network import LipschitzCNN

_VIT = ("patch_embed", "_pos_embed", "patch_drop", "norm_pre", "blocks", "norm", "forward_head")
_SWIN = ("patch_embed", "layers", "norm", "forward_head")
_STAGE = ("downsample", "blocks")

STEPS: dict[type[nn.Module], tuple[str, ...]] = {
    VisionTransformer: _VIT,
    VisionTransformerDistilled: _VIT,
    SwinTransformer: _SWIN,
    SwinTransformerStage: _STAGE,
    SwinTransformerV2: _SWIN,
    SwinTransformerV2Stage: _STAGE,
    ConvNeXt: ("stem", "stages", "norm_pre", "forward_head"),
    ConvNeXtStage: _STAGE,
    ResNet: ("conv1", "bn1", "act1", "maxpool", "layer1", "layer2", "layer3", "layer4", "forward_head"),
    EfficientNet: ("conv_stem", "bn1", "blocks", "conv_head", "bn2", "forward_head"),
    MobileNetV3: ("conv_stem", "bn1", "blocks", "forward_head"),
    LipschitzCNN: ("stages", "forward_head"),
}


class Link(NamedTuple):
    """One step of a chain: tensor in, tensor out."""

    forward: Callable[[Tensor], Tensor]
    outputs: tuple[str, ...]  # modules whose output is the output of this link: a block, and the stage that it ends


def chain(model: nn.Module) -> list[Link]:
    """`model` as links: ``links[-1](... links[0](images))`` equals ``model(images)``."""
    return _links("", model)


def _links(name: str, module: nn.Module) -> list[Link]:
    steps = _steps(module)
    if not steps:
        return [Link(module, (name,))]
    links: list[Link] = []
    for step in steps:
        part: Any = module._modules[step] if step in module._modules else getattr(module, step)
        links += _links(f"{name}.{step}".lstrip("."), part) if isinstance(part, nn.Module) else [Link(part, ())]
    if not isinstance(module, nn.ModuleList):  # a list has no output
        links[-1] = Link(links[-1].forward, (*links[-1].outputs, name))
    return links


def _steps(module: nn.Module) -> Sequence[str]:
    """In what parts a module may be run: none for one that someone has hooked, or whose ``forward`` is not known."""
    if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
        return ()
    if type(module) in (nn.Sequential, nn.ModuleList):
        return list(module._modules)
    return STEPS.get(type(module), ())
