"""Attention whose queries, keys, values and weights can be changed on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import linear

from lit_coiba.backbones.attention import explicit_attention
from lit_coiba.contracts import InputError

Change = Callable[[Tensor], Tensor]


def all_attention(model: nn.Module) -> list[nn.Module]:
    """Modules of self-attention, also those over the windows of a grid: timm's, and ``nn.MultiheadAttention``."""
    return [module for module in model.modules() if _is_timm(module) or isinstance(module, nn.MultiheadAttention)]


@contextmanager
def edited_attention(model: nn.Module, qkv: Change | None = None, weights: Change | None = None) -> Iterator[None]:
    """Attention computed step by step, windows too; on leaving, the model is as it was.

    Args:
        model: The model.
        qkv: What becomes of queries, keys and values, ``(..., 3 * channels)``, thirds in this order.
        weights: What becomes of the attention weights, ``(B, heads, T, T)``.
    """
    with ExitStack() as stack:
        stack.enter_context(explicit_attention(model))
        for module in all_attention(model):
            if isinstance(module, nn.MultiheadAttention):
                stack.enter_context(_explicit(module, qkv, weights))
            else:
                for part, change in ((module.qkv, qkv), (module.attn_drop, weights)):
                    if change is not None:
                        stack.callback(part.register_forward_hook(_changing(change)).remove)  # type: ignore[union-attr]
        yield


def _is_timm(module: nn.Module) -> bool:
    parts = (getattr(module, "qkv", None), getattr(module, "attn_drop", None))
    return all(isinstance(part, nn.Module) for part in parts)


def _changing(change: Change) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    return lambda module, args, output: change(output)


@contextmanager
def _explicit(module: nn.MultiheadAttention, qkv: Change | None, weights: Change | None) -> Iterator[None]:
    """torch's attention, which keeps everything inside, written out."""

    def forward(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, None]:
        masked = kwargs.get("attn_mask") is not None or kwargs.get("key_padding_mask") is not None
        same = query is key and key is value
        if not same or not module.batch_first or masked or args or module.in_proj_weight is None:
            raise InputError("this model's nn.MultiheadAttention is no plain self-attention: its weights cannot be had")
        projected = linear(query, module.in_proj_weight, module.in_proj_bias)
        projected = qkv(projected) if qkv else projected
        q, k, v = projected.unflatten(-1, (3, module.num_heads, module.head_dim)).permute(2, 0, 3, 1, 4)
        attention = (q * module.head_dim**-0.5 @ k.mT).softmax(-1)
        attention = weights(attention) if weights else attention
        return module.out_proj((attention @ v).transpose(1, 2).flatten(2)), None

    before = module.__dict__.get("forward")
    module.__dict__["forward"] = forward
    try:
        yield
    finally:
        if before is None:
            del module.__dict__["forward"]
        else:
            module.__dict__["forward"] = before
