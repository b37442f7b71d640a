"""Whether a model can run without some of its patches: by its structure, and refused where that is not known."""

from __future__ import annotations

from typing import Any

from timm.layers import (  # type: ignore[attr-defined]
    Attention,
    AttentionPoolLatent,
    AttentionPoolPrr,
    AttentionRope,
    DiffAttention,
    PatchEmbed,
)
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva, EvaAttention, EvaBlock, EvaBlockPostNorm
from timm.models.vision_transformer import (
    Block,
    DiffParallelScalingBlock,
    ParallelScalingBlock,
    ParallelThingsBlock,
    ResPostBlock,
    VisionTransformer,
)
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from lit_coiba.backbones.backbone import Backbone
from lit_coiba.backbones.grid_head import PLACE, attached
from lit_coiba.backbones.wrappers import unwrapped
from lit_coiba.core.class_identity import is_ours
from lit_coiba.core.errors import InputError

PIXEL_BASELINES = "zero, black, mean, blur, noise, uniform, opposite or minimum"  # what every model can have instead

_FAMILIES = (VisionTransformerDistilled, VisionTransformer, Eva)
_STEPS = ("forward", "forward_features", "_pos_embed", PLACE, "pool")  # that are followed, so nobody's own
_BLOCKS = (
    *(Block, ResPostBlock, ParallelScalingBlock, DiffParallelScalingBlock, ParallelThingsBlock),
    *(EvaBlock, EvaBlockPostNorm),
)
_ATTENTION = (Attention, DiffAttention, AttentionRope, EvaAttention)
_POOLS = ("token", "avg", "avgmax", "max", "map", "prr")


def network_of(model: Any) -> tuple[Any, str, tuple[int, int] | None]:
    """The network inside a model, its name, and the size of its images where that is stated."""
    if is_ours(type(model)) and isinstance(getattr(model, "network", None), Backbone):
        model = model.network  # a trained classifier
    if isinstance(model, Backbone):
        name = model.arguments.get("name", type(model.model).__name__)
        return model.model, str(name), model.preprocessing.size
    network = unwrapped(model)[0] if isinstance(model, nn.Module) else model
    return network, str(getattr(network, "__name__", type(network).__name__)), None


def refuse(network: Any, title: str, size: tuple[int, int]) -> None:
    """Refuse a network that cannot leave patches out, or of which that is not known.

    Args:
        network: The network itself.
        title: Its name.
        size: Height and width of its images in pixels.

    Raises:
        InputError: It is one; the sentence names the baselines that it can have.
    """
    if reason := _reason(network, size):
        raise InputError(
            f"baseline is tokens, and {title} cannot leave out patches, since {reason}: choose {PIXEL_BASELINES}"
        )


def _reason(network: Any, size: tuple[int, int]) -> str:
    if not _known(network):
        return "only ViTs of timm with global attention and absolute or rotary positions can"
    return _embedding(network, size) or _blocks(network) or _pooling(network)


def _known(network: Any) -> bool:
    family = next((kind for kind in _FAMILIES if isinstance(network, kind)), None)
    if family is None:
        return False
    inherited = all(getattr(type(network), step) is getattr(family, step) for step in _STEPS)
    replaced = {step for step in _STEPS if step in vars(network)} - ({PLACE} if attached(network) else set())
    return inherited and not replaced


def _embedding(network: Any, size: tuple[int, int]) -> str:
    embedding = network.patch_embed
    if type(embedding) is not PatchEmbed:
        return f"its tokens are made by {type(embedding).__name__}, where each may see more than its patch"
    if any(pixels % patch for pixels, patch in zip(size, embedding.patch_size)):
        height, width = embedding.patch_size
        return f"its patches of {height} x {width} pixels do not divide images of {size[0]} x {size[1]}"
    return ""


def _blocks(network: Any) -> str:
    for module in (network, network.blocks):
        if module._forward_hooks or module._forward_pre_hooks:
            return "hooks watch its whole forward, of which only parts would run"
    for block in network.blocks:
        if type(block) not in _BLOCKS:
            return f"what its {type(block).__name__} does between tokens is not known"
    for name, module in network.blocks.named_modules():
        mixing = isinstance(module, _ConvNd | _NormBase | nn.MultiheadAttention)
        own = name.endswith("attn") and type(module) not in (*_ATTENTION, nn.Sequential)
        if mixing or own:
            return f"what its {type(module).__name__} does between tokens is not known"
    return ""


def _pooling(network: Any) -> str:
    if (head := attached(network)) is not None:
        known = getattr(head, "orderless", False)
        return "" if known else f"its head {type(head).__name__} may read where its features lie (set orderless = True)"
    pool = network.attn_pool
    if pool is not None and (
        type(pool) not in (AttentionPoolLatent, AttentionPoolPrr) or getattr(pool, "pos_embed", None) is not None
    ):
        return f"its {type(pool).__name__} reads where tokens lie"
    return "" if network.global_pool in _POOLS else "it does not pool its tokens"
