"""The operation that bounds a module, a function or a method of a traced network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
from lit_coiba.propagation import operations as kinds
from lit_coiba.propagation.operations import spellings


def _of_images(names: Iterable[str]) -> list[str]:
    """Names of operations, without those for sequences and volumes: bounds have rules for images alone."""
    return [name for name in names if not name.endswith(("1d", "3d"))]


def _modules_of_images(modules: Sequence[type[nn.Module]]) -> tuple[type[nn.Module], ...]:
    named = {kind.__name__: kind for kind in modules}
    return tuple(named[name] for name in _of_images(named))


# Modules by their exact types, since what is derived from one may compute something else.
IDENTITIES = (nn.Identity, *_modules_of_images(kinds.DROPOUTS.modules))
AVERAGES = (*_modules_of_images(kinds.AVERAGE_POOLS.modules), nn.ZeroPad2d)
NORM_AND_ACTIVATION = "BatchNormAct2d"  # timm's batch norm with dropout and an activation behind it
CURVES: dict[str, Activation] = {  # of the activations without arguments for which lines are known
    "relu": activations.RELU,
    "relu6": activations.RELU6,
    "silu": activations.SILU,
    "sigmoid": activations.SIGMOID,
    "tanh": activations.TANH,
    "hardswish": activations.HARDSWISH,
    "hardsigmoid": activations.HARDSIGMOID,
}
MODULE_CURVES = {
    kind: CURVES[kind.__name__.lower()]
    for kind in (kinds.ACTIVATIONS | kinds.GATES).modules
    if kind.__name__.lower() in CURVES
}
# Functions and methods. Of those in place, bounds know the operators, their methods and relu_.
CALLED_CURVES: dict[Any, Activation] = {call: curve for name, curve in CURVES.items() for call in spellings([name])} | {
    "relu_": activations.RELU
}
SUMS = spellings({*kinds.ADDITIONS.names, "add_"})
DIFFERENCES = spellings({*kinds.SUBTRACTIONS.names - kinds.ALIASES.names, "sub_"})  # without torch's aliases, as below
PRODUCTS = spellings({*kinds.MULTIPLICATIONS.names - kinds.ALIASES.names, "mul_"})
QUOTIENTS = spellings({*kinds.DIVISIONS.names - kinds.ALIASES.names, "div_"})
# torch.dropout decides by an argument, not by the mode of a module, whether it drops anything.
SAME = spellings([*_of_images(kinds.DROPOUTS.names), "contiguous", "clone"]) - {torch.dropout}
POOLS = spellings(_of_images(kinds.AVERAGE_POOLS.names))
MEANS = spellings(["mean"])
FLATTENINGS = spellings(["flatten"])


def of_module(module: Any, dtype: torch.dtype) -> list[Operation] | None:
    """The operations of a module in evaluation mode, one after another; None where there is no rule for it."""
    kind = type(module)
    if kind in IDENTITIES:
        return []
    if kind in AVERAGES or (kind is nn.Flatten and module.start_dim == 1):
        return [Averaging(kind.forward.__get__(module))]
    if kind is nn.Linear or (isinstance(module, nn.Linear) and kind.__name__ == "Linear"):  # timm has its own
        return [Linear(module, dtype)]
    if isinstance(module, nn.Conv2d) and (kind is nn.Conv2d or kind.__name__ == kinds.SAME_CONVOLUTION):
        if module.padding_mode == "circular":
            return _circular(module, dtype)
        zeros = module.padding_mode == "zeros"
        return [Convolution(module, dtype, kind.__name__ == kinds.SAME_CONVOLUTION)] if zeros else None
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
    return [MODULE_CURVES[kind]] if kind in MODULE_CURVES else None


def of_call(function: Any, args: Sequence[Any], kwargs: dict[str, Any], variable: Callable[[Any], bool]) -> Any:
    """The operation of a function, or of a tensor's method by its name, and its inputs among the arguments.

    Args:
        function: The function, or the name of the method.
        args: Its arguments: numbers, tensors, and stand-ins for activations.
        kwargs: Its named arguments.
        variable: Whether an argument is such a stand-in.

    Returns:
        ``(operation, inputs)``, the operation None where the output is the input; or None where there is no rule.
    """
    first, *rest = args
    inputs = [value for value in args if variable(value)]
    if function in SAME:
        return None, inputs
    if function in SUMS | DIFFERENCES | PRODUCTS | QUOTIENTS:
        return _arithmetic(function, args, inputs) if len(args) == 2 and not kwargs else None
    if len(inputs) != 1 or not variable(first) or any(variable(value) for value in kwargs.values()):
        return None
    if function in CALLED_CURVES:
        return CALLED_CURVES[function], inputs
    if function is F.gelu:
        return (activations.GELU if kwargs.get("approximate", "none") == "none" else activations.GELU_TANH), inputs
    if function is F.leaky_relu:
        return activations.leaky_relu(float((rest or [kwargs.get("negative_slope", 0.01)])[0])), inputs
    if function in POOLS or (function in MEANS and _keeps_rows(rest, kwargs)):
        call = getattr(Tensor, function) if isinstance(function, str) else function
        return Averaging(lambda z: call(z, *rest, **kwargs)), inputs
    if function in FLATTENINGS and (rest or [kwargs.get("start_dim")])[0] == 1 and len(rest) < 2:
        return Averaging(lambda z: z.flatten(1)), inputs
    return None


def _circular(module: nn.Conv2d, dtype: torch.dtype) -> list[Operation]:
    """The pixels of the opposite borders around the image, then the convolution without padding."""
    around, convolution = module._reversed_padding_repeated_twice, Convolution(module, dtype, False)
    convolution.padding = (0, 0)
    return [Averaging(lambda z: F.pad(z, around, mode="circular")), convolution]


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


def _keeps_rows(rest: list[Any], kwargs: dict[str, Any]) -> bool:
    """Whether a mean leaves out the first axis."""
    axes = kwargs.get("dim", rest[0] if rest else None)
    axes = [axes] if isinstance(axes, int) else axes
    return axes is not None and all(isinstance(axis, int) and axis not in (0, -4) for axis in axes)
