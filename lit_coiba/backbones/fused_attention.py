"""timm's fused attention is slow in the backward of low precision on the CPU: run the plain one there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def attention_modules(model: nn.Module) -> list[nn.Module]:
    """Modules with timm's ``fused_attn`` switch."""
    return [module for module in model.modules() if isinstance(getattr(module, "fused_attn", None), bool)]


@contextmanager
def unfused_if_slow(modules: Sequence[nn.Module], stream: Tensor) -> Iterator[None]:
    """Switch fused attention off where a backward through `stream` would be slow; on leaving all is as it was.

    Measured on ViT-S/16, blocks 4 to 11, 40 sequences of 197 tokens, forward and backward, two cores with AMX: under
    bf16 autocast plain attention takes 0.70 to 0.72 of the time of the fused one, in fp32 1.01 to 1.08.
    """
    low = (torch.bfloat16, torch.float16)
    autocast = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") in low
    if stream.device.type != "cpu" or not torch.is_grad_enabled() or not (autocast or stream.dtype in low):
        modules = ()
    with unfused(modules):
        yield


@contextmanager
def unfused(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Attention of `modules` computed step by step; on leaving, their switches are as they were."""
    flags = [(module, module.fused_attn) for module in modules]
    try:
        for module, _ in flags:
            module.fused_attn = False  # type: ignore[assignment]
        yield
    finally:
        for module, flag in flags:
            module.fused_attn = flag
