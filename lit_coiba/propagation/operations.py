"""The kinds of operations that vision models are built of: names of functions and methods, and types of modules.

Every method that follows a model step by step derives from these kinds the operations that it has rules for. A name
stands for torch's function, the method of its tensors and Python's operator of that name (`operation_name`).
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Kind:
    """Operations of one kind, however a model writes them down."""

    names: frozenset[str]
    modules: tuple[type[nn.Module], ...] = ()

    @classmethod
    def of(cls, names: str, *modules: type[nn.Module]) -> Kind:
        """A kind from its names, separated by spaces."""
        return cls(frozenset(names.split()), modules)

    def __or__(self, other: Kind) -> Kind:
        """Both kinds."""
        return Kind(self.names | other.names, self.modules + other.modules)


# Elementwise functions
HOMOGENEOUS = Kind.of("relu leaky_relu prelu", nn.ReLU, nn.LeakyReLU, nn.PReLU)  # f(x) = f'(x) x
CLAMPS = Kind.of("clamp clip clamp_min clamp_max")
POWERS = Kind.of("pow square")
GATES = Kind.of("sigmoid hardsigmoid", nn.Sigmoid, nn.Hardsigmoid)  # between 0 and 1
ACTIVATIONS = (
    HOMOGENEOUS
    | Kind.of("relu6 rrelu threshold elu celu selu", nn.ReLU6, nn.Threshold, nn.ELU, nn.CELU, nn.SELU)
    | Kind.of("gelu silu mish softplus", nn.GELU, nn.SiLU, nn.Mish, nn.Softplus)
    | Kind.of("tanh tanhshrink hardtanh hardswish", nn.Tanh, nn.Tanhshrink, nn.Hardtanh, nn.Hardswish)
    | Kind.of("hardshrink softshrink softsign logsigmoid", nn.Hardshrink, nn.Softshrink, nn.Softsign, nn.LogSigmoid)
)
NEGATION = Kind.of("neg")
NONLINEAR = Kind.of("exp expm1 rpow log log1p logsumexp sin cos erf prod cumprod")  # not used as activations

# Arithmetic of two tensors, or of a tensor and a number
ALIASES = Kind.of("subtract multiply divide true_divide")
ADDITIONS = Kind.of("add iadd radd")
SUBTRACTIONS = Kind.of("sub isub subtract")
MULTIPLICATIONS = Kind.of("mul imul rmul multiply")
DIVISIONS = Kind.of("truediv itruediv div divide true_divide")
IN_PLACE_OPERATORS = (operator.iadd, operator.isub, operator.imul, operator.itruediv)

# Products
CONVOLUTIONS = Kind.of("conv1d conv2d conv3d", nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)
DENSE = Kind.of("linear", nn.Linear)
SAME_CONVOLUTION = "Conv2dSame"  # timm's convolution with TensorFlow's padding, by the name of its type
MATRIX_PRODUCTS = Kind.of("matmul bmm mm einsum")
OTHER_PRODUCTS = Kind.of(
    "addcmul addcdiv lerp bilinear baddbmm addbmm addmm addmv tensordot inner outer dot cross kron"
    " cdist cosine_similarity"
)

# Attention and norms whose statistics are those of the input
SOFTMAX = Kind.of("softmax", nn.Softmax)
FUSED_ATTENTION = Kind.of("scaled_dot_product_attention")
MULTI_HEAD_ATTENTION = Kind.of("multi_head_attention_forward", nn.MultiheadAttention)
INPUT_NORMS = Kind.of(
    "layer_norm rms_norm group_norm instance_norm", nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.InstanceNorm2d
)

# Pooling and reductions
MAX_POOLS = Kind.of("max_pool1d max_pool2d max_pool3d boolean_dispatch", nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
ADAPTIVE_MAX_POOLS = Kind.of(
    "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d",
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
)
AVERAGE_POOLS = Kind.of(
    "avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d",
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
)
LINEAR_REDUCTIONS = Kind.of("mean sum fold")
EXTREMES = Kind.of("amax maximum minimum")
RESIZING = Kind.of("interpolate upsample", nn.Upsample)

# Shape operations: numbers are moved, repeated or left out, and none is changed
DROPOUTS = Kind.of("dropout dropout1d dropout2d dropout3d", nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
OTHER_DROPOUTS = Kind.of("feature_dropout alpha_dropout stochastic_depth drop_path", nn.AlphaDropout)
VIEWS = Kind.of(  # of the whole input
    "view view_as reshape reshape_as flatten unflatten squeeze unsqueeze permute transpose swapaxes movedim"
    " expand expand_as",
    *(nn.Identity, nn.Flatten),
)
PARTS = Kind.of("select chunk split tensor_split unbind getitem narrow index_select unfold")
JOINS = Kind.of("cat concat concatenate stack")
COPIES = Kind.of("contiguous clone to type type_as float double detach repeat repeat_interleave tile")
PADS = Kind.of("pad", nn.ZeroPad2d, nn.ConstantPad2d, nn.ReflectionPad2d)
REARRANGEMENTS = Kind.of(
    "flip roll T mT pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle",
    *(nn.Unflatten, nn.PixelShuffle, nn.PixelUnshuffle, nn.ChannelShuffle),
)
SHAPE_OPS = DROPOUTS | OTHER_DROPOUTS | VIEWS | PARTS | JOINS | COPIES | PADS | REARRANGEMENTS
SHAPE_QUERIES = Kind.of("size getattr dim numel ndimension len is_contiguous is_floating_point")  # no tensors come out

_TIMM_ACTIVATIONS = "timm.layers.activations"  # the modules in which all of timm's own activations are defined


def operation_name(target: Any) -> str:
    """Name of a function, a method or an operator, without the underscores around it.

    Example:
        >>> operation_name(torch.relu_), operation_name("relu_"), operation_name(torch.Tensor.__rpow__)
        ('relu', 'relu', 'rpow')
    """
    return str(getattr(target, "__name__", target)).strip("_")


def spellings(names: Iterable[str]) -> frozenset[Any]:
    """torch's functions and Python's operators of these names, and the names themselves for the methods of tensors.

    A function of someone else's that has one of these names is none of them.

    Example:
        >>> spellings(["add"]) == {torch.add, operator.add, "add"}
        True
    """
    found = {getattr(place, name) for name in names for place in (torch, F, operator) if hasattr(place, name)}
    return frozenset(found | set(names))


def is_activation(module: nn.Module) -> bool:
    """Whether a module is an activation or a gate, of torch or of timm, that treats every number alike."""
    known = isinstance(module, ACTIVATIONS.modules + GATES.modules)
    return known or type(module).__module__.startswith(_TIMM_ACTIVATIONS)


def is_gate(module: nn.Module) -> bool:
    """Whether a module is a sigmoid of any kind."""
    return "sigmoid" in type(module).__name__.lower()
