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
from lit_coiba.core.errors import Unsupported
from lit_coiba.propagation import operations as kinds
from lit_coiba.propagation.attention import explicit_multihead
from lit_coiba.propagation.constant_norms import CONSTANT_NORMS, valued
from lit_coiba.propagation.operations import is_activation, is_gate, operation_name

TINY = 1e-6  # the ratio of an activation's output to its input is taken here where the input is smaller

# The gradient of homogeneous activations is the ratio of output to input already; that of gates is zero.
RATIO_RULE = (kinds.ACTIVATIONS | kinds.CLAMPS | kinds.POWERS).names - kinds.HOMOGENEOUS.names
FACTORS = (kinds.MULTIPLICATIONS | kinds.DIVISIONS).names
PRODUCTS = (kinds.MATRIX_PRODUCTS | kinds.DENSE | kinds.CONVOLUTIONS).names
WITHOUT_RULE = kinds.NONLINEAR.names
# Without a rule if two operands depend on the image; of powers, those with the image in the exponent.
WITHOUT_RULE_FOR_TWO = (kinds.OTHER_PRODUCTS | kinds.MULTI_HEAD_ATTENTION).names | {"pow"}


class RelevanceRules(TorchFunctionMode):
    """Modified gradients inside; the outputs of the model stay the same, except for the rounding of fused attention.

    - Products, of matrices or elementwise, share relevance evenly among the factors that depend on the image. So the
      two products of attention give queries and keys a quarter each and values a half; gated MLPs give halves.
    - Gates are constants, and the value has all relevance: outputs of sigmoids, factors that are broadcast
      (squeeze-and-excitation), denominators.
    - Layer, group, instance and RMS norms: the standard deviation is a constant.
    - Activations: output over input is a constant (the identity rule).
    - The softmax of attention keeps its own gradient.

    Linear and piecewise linear operations keep their gradients.

    Args:
        conserving: Whether the rules are those of CP-LRP: attention weights are constants, and values have all
            relevance. Without biases the relevance of all inputs then adds up to the logit, which the softmax prevents
            otherwise.

    Attributes:
        attended: Whether matrices that depend on the image were multiplied, as attention does.

    Raises:
        Unsupported: An operation on what depends on the image has no rule.
    """

    def __init__(self, conserving: bool = False) -> None:
        super().__init__()
        self.conserving = conserving
        self.attended = False

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """One operation of the model, with its rule."""
        called = getattr(func, "__name__", "")
        name, kwargs = operation_name(func), kwargs or {}
        factors = [value for value in _flat((*args, *kwargs.values())) if _depends(value)]
        if not factors:
            return func(*args, **kwargs)
        if name in WITHOUT_RULE or (name in WITHOUT_RULE_FOR_TWO and len(factors) > 1):
            raise Unsupported(f"torch's {name}")
        if name in RATIO_RULE:
            return _activated(func, called, *args, **kwargs)
        if name in CONSTANT_NORMS:
            return valued(func(*args, **kwargs), CONSTANT_NORMS[name](*args, **kwargs))
        if name in kinds.GATES.names:
            return func(*args, **kwargs).detach() if factors[0].ndim > 2 else func(*args, **kwargs)
        if name in kinds.SOFTMAX.names:
            return self._softmax(func, *args, **kwargs)
        if name in kinds.FUSED_ATTENTION.names:
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
            raise Unsupported("attention with a causal mask, grouped queries or dropout")
        scores = shared((query * (query.shape[-1] ** -0.5 if scale is None else scale)) @ key.mT, 2)
        if attn_mask is not None:
            unseen = attn_mask.dtype == torch.bool
            scores = scores.masked_fill(~attn_mask, -torch.inf) if unseen else scores + attn_mask
        weights = self._softmax(torch.softmax, scores, -1)
        mixed = weights @ value
        return shared(mixed, 2) if _depends(weights) else mixed


@contextmanager
def relevance_rules(model: nn.Module, conserving: bool = False) -> Iterator[RelevanceRules]:
    """`RelevanceRules` for a forward of `model`, also for timm's own activations and torch's ``MultiheadAttention``.

    Args:
        model: In evaluation mode, frozen: a tensor depends on the image if it requires a gradient. On leaving, it is as
            it was.
        conserving: Whether the rules are those of CP-LRP.
    """
    with ExitStack() as stack:
        for module in model.modules():
            if is_activation(module) and type(module).__module__.startswith("timm.") and not is_gate(module):
                forward = partial(type(module).forward, module)
                stack.enter_context(override_forward(module, partial(_activated, forward, _in_place(module))))
        stack.enter_context(explicit_multihead(model))
        yield stack.enter_context(RelevanceRules(conserving))


def shared(product: Tensor, factors: int) -> Tensor:
    """The product, whose factors get an even share of the gradient each; nothing else may read the product yet."""
    if product.requires_grad:
        product.register_hook(lambda gradient: gradient / factors)
    return product


def _multiplied(func: Callable[..., Tensor], called: str, x: Tensor, y: Tensor, **kwargs: Any) -> Tensor:
    """All relevance goes to the numerator of a quotient, and to the value of a product with a broadcast gate."""
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
    """The identity rule, also for functions that write in place: other users of the input see what they saw before."""
    output = func(input.detach().clone(), *args, **kwargs)
    small = input.detach().abs() < TINY
    slope = func(input.new_full((1,), TINY), *args, **kwargs) / TINY  # the ratio at zero, if the function is zero there
    ratio = torch.where(small, slope, output / input.detach().masked_fill(small, 1))
    result = valued(output, input * ratio)
    in_place = called.endswith("_") or any(value is True for value in (*args, *kwargs.values()))
    return input.copy_(result) if in_place else result


def _in_place(module: nn.Module) -> str:
    """A name as torch's functions have it: with an underscore at the end if it writes into its input."""
    return "activation_" if getattr(module, "inplace", False) is True else "activation"


def _depends(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def _flat(values: tuple[Any, ...]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, tuple | list):
            yield from value
        else:
            yield value
