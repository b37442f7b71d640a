"""Last block of a ViT whose head reads the class token alone: everything but keys and values for that token only.

Exact; it saves about five sixths of the block (E5 of the CoIBA spec).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from timm.layers import Attention, GluMlp, Mlp, RmsNorm, SwiGLU  # type: ignore[attr-defined]
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from lit_coiba.backbones.chains import Link
from lit_coiba.backbones.grid_head import attached
from lit_coiba.core.plain_forward import is_compiled

_PER_TOKEN = (nn.LayerNorm, RmsNorm, nn.Identity)


def cls_only_last_block(model: Any, links: list[Link], targets: Sequence[tuple[str, int]]) -> list[Link]:
    """`links` with a shorter last block if the model is a plain timm ViT and no bottleneck layer is affected.

    Args:
        model: Any model.
        links: Its chain.
        targets: Name and link of every bottleneck layer. One in the last block, its ``norm1`` excepted, or above it
            needs all tokens.
    """
    rows = _rows_read(model)
    if not rows or links[-1].forward != model.forward_head or is_compiled(model.blocks):
        return links
    block, last = model.blocks[-1], f"blocks.{len(model.blocks) - 1}"
    position = next((k for k, link in enumerate(links) if last in link.outputs), 0)
    seen = any(link >= position and name != f"{last}.norm1" for name, link in targets)
    if seen or not position or not _plain(block):
        return links

    def shorter(stream: Tensor) -> Tensor:
        kept = stream[:, :rows]
        kept = kept + block.drop_path1(block.ls1(_attend(block.attn, block.norm1(stream), rows)))
        return kept + block.drop_path2(block.ls2(block.mlp(block.norm2(kept))))

    return [*links[:position], Link(shorter, links[position].outputs), *links[position + 1 :]]


def _rows_read(model: Any) -> int:
    """How many leading tokens the head reads; 0 = all, or not known."""
    own = attached(model) is None  # another head reads the patches
    if not own or model.training or not isinstance(getattr(model, "norm", None), _PER_TOKEN):
        return 0
    if type(model) is VisionTransformerDistilled:
        return 2
    return int(type(model) is VisionTransformer and model.global_pool == "token" and model.attn_pool is None)


def _plain(block: Any) -> bool:
    """Whether everything in the block but attention itself treats tokens one by one, and no one listens in."""
    if type(block) is not Block or type(block.attn) is not Attention or type(block.attn.qkv) is not nn.Linear:
        return False
    attention = block.attn
    norms = (block.norm1, block.norm2, attention.q_norm, attention.k_norm, getattr(attention, "norm", nn.Identity()))
    per_token = all(isinstance(norm, _PER_TOKEN) for norm in norms) and type(block.mlp) in (Mlp, GluMlp, SwiGLU)
    hooked = any(m._forward_hooks or m._forward_pre_hooks for m in block.modules() if m is not block.norm1)
    return per_token and getattr(attention, "gate", None) is None and not hooked


def _attend(attention: Attention, tokens: Tensor, rows: int) -> Tensor:
    """Attention output of the first `rows` tokens, ``(B, T, C)`` -> ``(B, rows, C)``."""
    heads, width = attention.num_heads, attention.num_heads * attention.head_dim
    weight, bias = attention.qkv.weight, attention.qkv.bias
    queries = linear(tokens[:, :rows], weight[:width], None if bias is None else bias[:width])
    keys_values = linear(tokens, weight[width:], None if bias is None else bias[width:])
    query = attention.q_norm(queries.unflatten(-1, (heads, -1)).transpose(1, 2))
    key, value = keys_values.unflatten(-1, (2, heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
    key = attention.k_norm(key)
    if attention.fused_attn:
        mixed = scaled_dot_product_attention(query, key, value)
    else:
        mixed = ((query * attention.scale) @ key.transpose(-2, -1)).softmax(-1) @ value
    mixed = mixed.transpose(1, 2).flatten(2)
    if hasattr(attention, "norm"):
        mixed = attention.norm(mixed)
    return attention.proj_drop(attention.proj(mixed))
