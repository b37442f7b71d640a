"""Which operation stands for a module, a function or a method of a traced network."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_coiba.bounds import activations
from lit_coiba.bounds.activations import Activation
from lit_coiba.bounds.affine import Averaging, Convolution, Linear, Scale, Sum
from lit_coiba.bounds.max_pool import MaxPool
from lit_coiba.bounds.operation import Operation
from lit_coiba.bounds.product import Product

IDENTITIES = (nn.Identity, nn.Dropout, nn.Dropout2d)
AVERAGES = (nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.ZeroPad2d)
DYNAMIC = "Conv2dSame"  # timm's convolution with TensorFlow's padding
NORM_AND_ACTIVATION = "BatchNormAct2d"  # timm's batch norm with dropout and an activation behind it
CURVES: dict[type[nn.Module], Activation] = {
    nn.ReLU: activations.RELU,
    nn.ReLU6: activations.RELU6,
    nn.SiLU: activations.SILU,
    nn.Sigmoid: activations.SIGMOID,
    nn.Tanh: activations.TANH,
    nn.Hardswish: activations.HARDSWISH,
    nn.Hardsigmoid: activations.HARDSIGMOID,
}
FUNCTIONS: dict[Any, Activation] = {
    F.relu: activations.RELU,
    torch.relu: activations.RELU,
    F.relu6: activations.RELU6,
    F.silu: activations.SILU,
    F.hardswish: activations.HARDSWISH,
    F.hardsigmoid: activations.HARDSIGMOID,
    torch.sigmoid: activations.SIGMOID,
    torch.tanh: activations.TANH,
}
METHODS: dict[str, Activation] = {
    "relu": activations.RELU,
    "relu_": activations.RELU,
    "sigmoid": activations.SIGMOID,
    "tanh": activations.TANH,
}
SUMS = (operator.add, operator.iadd, torch.add, "add", "add_")
DIFFERENCES = (operator.sub, operator.isub, torch.sub, "sub", "sub_")
PRODUCTS = (operator.mul, operator.imul, torch.mul, "mul", "mul_")
QUOTIENTS = (operator.truediv, operator.itruediv, torch.div, "div", "div_")
DROPOUTS = (F.dropout, F.dropout2d, "contiguous")


def of_module(module: Any, dtype: torch.dtype) -> list[Operation] | None:
    """The operations of a module in evaluation mode, one after another; None where there is no rule for it."""
    kind = type(module)
    if kind in IDENTITIES:
        return []
    if kind in AVERAGES or (kind is nn.Flatten and module.start_dim == 1):
        return [Averaging(kind.forward.__get__(module))]
    if kind is nn.Linear or (isinstance(module, nn.Linear) and kind.__name__ == "Linear"):  # timm has its own
        return [Linear(module, dtype)]
    if isinstance(module, nn.Conv2d) and (kind is nn.Conv2d or kind.__name__ == DYNAMIC):
        zeros = module.padding_mode == "zeros"
        return [Convolution(module, dtype, kind.__name__ == DYNAMIC)] if zeros else None
    if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
        if kind is nn.BatchNorm2d:
            return [Scale.of_norm(module, dtype)]
        if kind.__name__ == NORM_AND_ACTIVATION:
            return _chained([Scale.of_norm(module, dtype)], [module.drop, module.act], dtype)
        return None
    if kind is nn.MaxPool2d and not module.ceil_mode:
        return [MaxPool(module)]
    if kind is nn.Sequential:
        return _chained([], list(module.children()), dtype)
    if kind is nn.GELU:
        return [activations.GELU if module.approximate == "none" else activations.GELU_TANH]
    if kind is nn.LeakyReLU and 0 <= float(module.negative_slope) <= 1:
        return [activations.leaky_relu(float(module.negative_slope))]
    if kind is nn.Hardtanh:
        return [activations.clipped(float(module.min_val), float(module.max_val))]
    return [CURVES[kind]] if kind in CURVES else None


def of_call(function: Any, args: Sequence[Any], kwargs: dict[str, Any], variable: Callable[[Any], bool]) -> Any:
    """The operation of a function, or of a tensor's method by its name, and its inputs among the arguments.

    Args:
        function: What is called.
        args: Its arguments: numbers, tensors, and stand-ins for activations.
        kwargs: Its named arguments.
        variable: Tells the stand-ins.

    Returns:
        ``(operation, inputs)``, the operation None where the output is the input; or None where there is no rule.
    """
    first, *rest = args
    inputs = [value for value in args if variable(value)]
    if function in DROPOUTS:
        return None, inputs
    if function in SUMS + DIFFERENCES + PRODUCTS + QUOTIENTS:
        return _arithmetic(function, args, inputs) if len(args) == 2 and not kwargs else None
    if len(inputs) != 1 or not variable(first) or any(variable(value) for value in kwargs.values()):
        return None
    if function in FUNCTIONS or (isinstance(function, str) and function in METHODS):
        return (FUNCTIONS | METHODS)[function], inputs
    if function is F.gelu:
        return (activations.GELU if kwargs.get("approximate", "none") == "none" else activations.GELU_TANH), inputs
    if function is F.leaky_relu:
        return activations.leaky_relu(float((rest or [kwargs.get("negative_slope", 0.01)])[0])), inputs
    if function in (F.avg_pool2d, F.adaptive_avg_pool2d, torch.mean, "mean") and _keeps_rows(function, rest, kwargs):
        call = getattr(Tensor, function) if isinstance(function, str) else function
        return Averaging(lambda z: call(z, *rest, **kwargs)), inputs
    if function in (torch.flatten, "flatten") and (rest or [kwargs.get("start_dim")])[0] == 1 and len(rest) < 2:
        return Averaging(lambda z: z.flatten(1)), inputs
    return None


def _chained(before: list[Operation], modules: list[Any], dtype: torch.dtype) -> list[Operation] | None:
    for module in modules:
        found = of_module(module, dtype)
        if found is None:
            return None
        before = before + found
    return before


def _arithmetic(function: Any, args: Sequence[Any], inputs: list[Any]) -> Any:
    if len(inputs) == 2:
        if function in QUOTIENTS:
            return None
        return (Product() if function in PRODUCTS else Sum(-1 if function in DIFFERENCES else 1)), inputs
    number = next(value for value in args if value is not inputs[0])
    behind = args[0] is inputs[0]  # the number is the second argument
    if function in SUMS:
        return Scale(1.0, number), inputs
    if function in DIFFERENCES:
        return (Scale(1.0, -number) if behind else Scale(-1.0, number)), inputs
    if function in PRODUCTS:
        return Scale(number, 0.0), inputs
    return (Scale(1 / number, 0.0), inputs) if behind else None


def _keeps_rows(function: Any, rest: list[Any], kwargs: dict[str, Any]) -> bool:
    """Whether a mean leaves out the first axis."""
    if function in (F.avg_pool2d, F.adaptive_avg_pool2d):
        return True
    axes = kwargs.get("dim", rest[0] if rest else None)
    axes = [axes] if isinstance(axes, int) else axes
    return axes is not None and all(isinstance(axis, int) and axis not in (0, -4) for axis in axes)
