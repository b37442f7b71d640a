"""Attention weights of a transformer, which fused kernels never show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from lit_coiba.backbones.fused_attention import attention_modules


def attention_layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Names and modules of timm's attentions over one sequence of all tokens, in the order of execution.

    Each has ``qkv``, and ``attn_drop``, which is given the weights. Attention in windows is not among them.
    """
    found = [(name, module) for name, module in model.named_modules() if _is_attention(module)]
    return [(name, module) for name, module in found if not hasattr(module, "window_size")]


@contextmanager
def explicit_attention(model: nn.Module) -> Iterator[None]:
    """Attention computed step by step, so that weights exist; on leaving, the flags are as they were."""
    flags = [(module, module.fused_attn) for module in attention_modules(model)]
    try:
        for module, _ in flags:
            module.fused_attn = False  # type: ignore[assignment]
        yield
    finally:
        for module, flag in flags:
            module.fused_attn = flag


@contextmanager
def recorded_attention(model: nn.Module) -> Iterator[list[Tensor]]:
    """The attention weights of every forward inside, ``(B, heads, T, T)`` each, block by block, still in the graph.

    Example::

        with recorded_attention(model) as weights:
            logits = model(images)
        gradients = torch.autograd.grad(logits[:, 0].sum(), weights)
    """
    weights: list[Tensor] = []

    def record(_: nn.Module, __: Any, output: Tensor) -> None:
        weights.append(output)

    handles = []
    try:
        with explicit_attention(model):
            for _, module in attention_layers(model):
                drop: Any = module.attn_drop
                handles.append(drop.register_forward_hook(record))
            yield weights
    finally:
        for handle in handles:
            handle.remove()


def _is_attention(module: nn.Module) -> bool:
    return isinstance(getattr(module, "qkv", None), nn.Module) and isinstance(
        getattr(module, "attn_drop", None), nn.Module
    )
