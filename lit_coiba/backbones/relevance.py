"""Rules of layer-wise relevance propagation for transformers, as gradients: relevance is input times modified gradient.

Achtibat et al., "AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for Transformers", 2024 (arXiv 2402.05602).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from timm.layers.mlp import GluMlp, SwiGLU
from torch import Tensor, nn

from lit_coiba.backbones.activations import elementwise, out_of_place
from lit_coiba.backbones.attention import edited_attention
from lit_coiba.functional import precise

TINY = 1e-6  # an activation's ratio of output to input is taken here where the input is smaller


@contextmanager
def relevance_rules(model: nn.Module, conserving: bool = False) -> Iterator[None]:
    """Modified gradients inside; every value that the model computes stays the same, to the bit.

    - Layer norm and RMS norm: the standard deviation is a constant.
    - Activations: output over input is a constant (the identity rule).
    - The two products of attention share relevance evenly: queries and keys take part in both, so their gradients are
      a quarter, those of values a half. The softmax keeps its own gradient.
    - The product of a gated MLP (SwiGLU, GluMlp) shares relevance evenly too.

    Other modules keep their gradient; group norms among them.

    Args:
        model: The model, frozen.
        conserving: CP-LRP instead: attention weights are constants, and values have it all. Without biases the
            relevance of all inputs then adds up to the logit, which the softmax prevents otherwise.
    """
    with ExitStack() as stack:
        stack.enter_context(out_of_place(model))  # the ratio of an activation needs its input afterwards
        if conserving:
            stack.enter_context(edited_attention(model, weights=torch.Tensor.detach))
        else:
            stack.enter_context(edited_attention(model, qkv=_shared))
        for module in model.modules():
            if isinstance(module, nn.LayerNorm) or "rmsnorm" in type(module).__name__.lower():
                stack.callback(module.register_forward_hook(_normalised).remove)
            elif isinstance(module, GluMlp | SwiGLU):
                for layer in (module.fc1,) if isinstance(module, GluMlp) else (module.fc1_g, module.fc1_x):
                    stack.callback(layer.register_forward_hook(_halved).remove)
            elif elementwise(module):
                stack.callback(module.register_forward_hook(_activated).remove)
        yield


def _shared(qkv: Tensor) -> Tensor:
    """Queries, keys and values with a quarter, a quarter and a half of their gradients."""
    if not qkv.requires_grad:
        return qkv
    third = qkv.shape[-1] // 3
    scale = torch.cat([qkv.new_full((2 * third,), 0.25), qkv.new_full((third,), 0.5)])
    passed = qkv.view_as(qkv)  # a tensor of its own, so that nobody else's gradient is scaled
    passed.register_hook(lambda gradient: gradient * scale)
    return passed


def _halved(module: Any, inputs: Any, output: Tensor) -> Tensor:
    return _valued(output, 0.5 * output)


def _normalised(module: Any, inputs: Any, output: Tensor) -> Tensor:
    x = inputs[0]
    if "2d" in type(module).__name__:  # of torchvision and timm: over the channels (B, C, h, w)
        return _normalised_last(module, x.movedim(1, -1), output.movedim(1, -1)).movedim(-1, 1)
    return _normalised_last(module, x, output)


def _normalised_last(module: Any, x: Tensor, output: Tensor) -> Tensor:
    axes = tuple(range(-len(module.normalized_shape), 0))
    values = precise(x.detach())
    if isinstance(module, nn.LayerNorm):
        spread, centred = values.var(axes, correction=0, keepdim=True), x - x.mean(axes, keepdim=True)
    else:
        spread, centred = values.square().mean(axes, keepdim=True), x
    eps = module.eps if module.eps is not None else torch.finfo(x.dtype).eps
    scaled = centred * (spread + eps).rsqrt().to(x.dtype)
    return _valued(output, scaled if module.weight is None else scaled * module.weight)


def _activated(module: Any, inputs: Any, output: Tensor) -> Tensor:
    x = inputs[0]
    small = x.detach().abs() < TINY
    slope = type(module).forward(module, x.new_full((1,), TINY)) / TINY  # that at zero, of what is zero there
    ratio = torch.where(small, slope, output.detach() / x.detach().masked_fill(small, 1))
    return _valued(output, x * ratio)


def _valued(value: Tensor, gradient: Tensor) -> Tensor:
    """A tensor with the values of one and the gradient of another."""
    return _Valued.apply(gradient, value.detach())


class _Valued(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None
