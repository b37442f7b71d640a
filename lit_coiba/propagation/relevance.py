"""Rules of layer-wise relevance propagation for transformers, as gradients: relevance is input times modified gradient.

Achtibat et al., "AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for Transformers", 2024 (arXiv 2402.05602).
The rules are those of operations, not of modules, so attention is covered however a model writes it down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lit_coiba.backbones.forwards import override_forward
from lit_coiba.core.errors import InputError
from lit_coiba.propagation.activations import FUNCTIONS, GATES, elementwise
from lit_coiba.propagation.attention import explicit_multihead
from lit_coiba.propagation.constant_norms import CONSTANT_NORMS

OTHERS = "take InputXGradient or RISE"
TINY = 1e-6  # an activation's ratio of output to input is taken here where the input is smaller

# Names of torch's functions and of the methods of its tensors, without underscores around them.
ACTIVATIONS = FUNCTIONS - {"relu", "leaky_relu", "prelu"}  # whose gradient is the ratio already
FACTORS = {"mul", "multiply", "div", "divide", "true_divide"}
PRODUCTS = {"matmul", "bmm", "mm", "einsum", "linear", "conv1d", "conv2d", "conv3d"}
WITHOUT_RULE = {"exp", "expm1", "rpow", "log", "log1p", "logsumexp", "sin", "cos", "erf", "prod", "cumprod"}
WITHOUT_RULE_FOR_TWO = {  # operands that depend on the image
    *("addcmul", "addcdiv", "lerp", "bilinear", "baddbmm", "addbmm", "addmm", "addmv", "tensordot", "inner", "outer"),
    *("dot", "cross", "kron", "cdist", "cosine_similarity", "pow", "multi_head_attention_forward"),
}


class RelevanceRules(TorchFunctionMode):
    """Modified gradients inside; what the model computes stays the same, but for the rounding of fused attention.

    - Products, of matrices or number by number, share relevance evenly among factors that depend on the image. So the
      two products of attention give queries and keys a quarter each and values a half; gated MLPs give halves.
    - Gates are constants, and the value has it all: outputs of sigmoids, factors that are broadcast
      (squeeze-and-excitation), denominators.
    - Layer, group, instance and RMS norms: the standard deviation is a constant.
    - Activations: output over input is a constant (the identity rule).
    - The softmax of attention keeps its own gradient.

    What is linear, or linear piece by piece, keeps its gradient.

    Args:
        conserving: CP-LRP instead: attention weights are constants, and values have it all. Without biases the
            relevance of all inputs then adds up to the logit, which the softmax prevents otherwise.
        method: Whose name begins the sentence of a refusal.

    Attributes:
        attended: Whether matrices that depend on the image were multiplied, as attention does.

    Raises:
        InputError: An operation on what depends on the image is no sum, product, norm or activation of the lists.
    """

    def __init__(self, conserving: bool = False, method: str = "AttnLRP") -> None:
        super().__init__()
        self.conserving = conserving
        self.method = method
        self.attended = False

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """One operation of the model, with its rule."""
        called = getattr(func, "__name__", "")
        name, kwargs = called.strip("_"), kwargs or {}
        factors = [value for value in _flat((*args, *kwargs.values())) if _depends(value)]
        if not factors:
            return func(*args, **kwargs)
        if name in WITHOUT_RULE or (name in WITHOUT_RULE_FOR_TWO and len(factors) > 1):
            raise InputError(f"{self.method} has no rule for torch's {name}, which this model runs: {OTHERS}")
        if name in ACTIVATIONS:
            return _activated(func, called, *args, **kwargs)
        if name in CONSTANT_NORMS:
            return valued(func(*args, **kwargs), CONSTANT_NORMS[name](*args, **kwargs))
        if name in GATES:
            return func(*args, **kwargs).detach() if factors[0].ndim > 2 else func(*args, **kwargs)
        if name == "softmax":
            return self._softmax(func, *args, **kwargs)
        if name == "scaled_dot_product_attention":
            return self._attention(*args, **kwargs)
        if name == "glu":
            return _gated_half(*args, **kwargs)
        if name in FACTORS and len(factors) > 1:
            return _multiplied(func, called, *args, **kwargs)
        if name in PRODUCTS and len(factors) > 1:
            self.attended = True
            return shared(func(*args, **kwargs), len(factors))
        return func(*args, **kwargs)

    def _softmax(self, func: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        weights = func(*args, **kwargs)
        if weights.ndim < 3:  # of classes, not of tokens
            return weights
        self.attended = True
        return weights.detach() if self.conserving else weights

    def _attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        """What fused attention computes, step by step."""
        if is_causal or enable_gqa or dropout_p:
            raise InputError(f"{self.method} has no rule for causal, grouped or dropped attention: {OTHERS}")
        scores = shared((query * (query.shape[-1] ** -0.5 if scale is None else scale)) @ key.mT, 2)
        if attn_mask is not None:
            unseen = attn_mask.dtype == torch.bool
            scores = scores.masked_fill(~attn_mask, -torch.inf) if unseen else scores + attn_mask
        weights = self._softmax(torch.softmax, scores, -1)
        mixed = weights @ value
        return shared(mixed, 2) if _depends(weights) else mixed


@contextmanager
def relevance_rules(model: nn.Module, conserving: bool = False, method: str = "AttnLRP") -> Iterator[RelevanceRules]:
    """`RelevanceRules` for a forward of `model`, also for timm's own activations and torch's ``MultiheadAttention``.

    Args:
        model: In evaluation mode, frozen: what requires a gradient depends on the image. On leaving it is as it was.
        conserving: CP-LRP.
        method: Whose name begins the sentence of a refusal.
    """
    with ExitStack() as stack:
        for module in model.modules():
            if elementwise(module) and type(module).__module__.startswith("timm.") and not _gate(module):
                forward = partial(type(module).forward, module)
                stack.enter_context(override_forward(module, partial(_activated, forward, _in_place(module))))
        stack.enter_context(explicit_multihead(model))
        yield stack.enter_context(RelevanceRules(conserving, method))


def shared(product: Tensor, factors: int) -> Tensor:
    """The product, each of whose factors has its share of the gradient; nobody else holds it yet."""
    if product.requires_grad:
        product.register_hook(lambda gradient: gradient / factors)
    return product


def valued(value: Tensor, gradient: Tensor) -> Tensor:
    """A tensor with the values of one and the gradient of another."""
    return _Valued.apply(gradient, value.detach())


def _multiplied(func: Callable[..., Tensor], called: str, x: Tensor, y: Tensor, **kwargs: Any) -> Tensor:
    """Of a quotient the numerator, and of a product with a broadcast gate the value, has it all."""
    if "div" in called or y.numel() < x.numel():
        return func(x, y.detach(), **kwargs)
    if x.numel() < y.numel():
        return func(x.detach(), y, **kwargs)
    if called.endswith("_"):
        return x.copy_(shared(x.clone() * y.clone(), 2))
    return shared(func(x, y, **kwargs), 2)


def _gated_half(input: Tensor, dim: int = -1) -> Tensor:
    value, gate = input.chunk(2, dim)
    return value * gate.sigmoid().detach()


def _activated(func: Callable[..., Tensor], called: str, input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The identity rule, for what works in place too: other users of the input see what they saw before."""
    output = func(input.detach().clone(), *args, **kwargs)
    small = input.detach().abs() < TINY
    slope = func(input.new_full((1,), TINY), *args, **kwargs) / TINY  # that at zero, of what is zero there
    ratio = torch.where(small, slope, output / input.detach().masked_fill(small, 1))
    result = valued(output, input * ratio)
    in_place = called.endswith("_") or any(value is True for value in (*args, *kwargs.values()))
    return input.copy_(result) if in_place else result


def _in_place(module: nn.Module) -> str:
    """A name as torch gives it to the activation, with an underscore if it writes into its input."""
    return "activation_" if getattr(module, "inplace", False) is True else "activation"


def _gate(module: nn.Module) -> bool:
    return "sigmoid" in type(module).__name__.lower()


def _depends(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def _flat(values: tuple[Any, ...]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, tuple | list):
            yield from value
        else:
            yield value


class _Valued(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None
