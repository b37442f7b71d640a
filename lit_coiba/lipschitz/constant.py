"""The Lipschitz constant of a network, computed from its weights: whatever the training did, it is what holds.

The constant of a chain of layers is at most the product of those of its layers. Each is known here in closed form, in
fp64, for images of one size; a network with any other layer has no constant that could be certified.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.core.printable import printable
from lit_coiba.lipschitz.convolution_norm import PADDINGS, circular_norm, convolution_norm
from lit_coiba.lipschitz.group_sort import GroupSort2

# Steps whose output moves at most as far as their input does.
CONTRACTIONS = (GroupSort2, nn.ReLU, nn.Tanh, nn.Hardtanh, nn.Softplus, nn.Identity, nn.Flatten, nn.Dropout)


class Layer(NamedTuple):
    """One layer of a chain."""

    name: str
    module: nn.Module
    shape: tuple[int, ...]  # of its input, without the batch axis


class LayerConstant(NamedTuple):
    """The Lipschitz constant of one layer."""

    name: str
    kind: str
    constant: float


def layers_of(network: nn.Module, size: Sequence[int], channels: int = 3) -> list[Layer]:
    """The layers of a network that is a chain, in the order of execution.

    Args:
        network: `LipschitzCNN`, or ``nn.Sequential``, also with others inside.
        size: Height and width of the images in pixels.
        channels: Number of channels of the images.

    Raises:
        InputError: It is no chain, or does not run on images of this size.
    """
    own = next(network.parameters(), torch.zeros(()))
    stream = torch.zeros(1, channels, *size, dtype=own.dtype, device=own.device)
    found = []
    with torch.no_grad():
        for name, module in _chain(network):
            found.append(Layer(name, module, tuple(stream.shape[1:])))
            _norm_of(name, module)  # refuses it by its name before it is run
            stream = _run(found[-1], stream)
    return found


def layer_constants(network: nn.Module, size: Sequence[int], channels: int = 3) -> list[LayerConstant]:
    """The constant of every layer of a chain that has one other than 1, in the order of execution.

    Args:
        network: See `layers_of`.
        size: Height and width of the images in pixels.
        channels: Number of channels of the images.

    Raises:
        InputError: It is no chain, or the constant of one of its layers is not known.

    Example:
        >>> double = nn.Conv2d(1, 1, 1, bias=False)
        >>> _ = double.weight.data.fill_(2.0)
        >>> layer_constants(nn.Sequential(double, nn.ReLU()), (8, 8), channels=1)
        [LayerConstant(name='0', kind='Conv2d', constant=2.0)]
    """
    layers = layers_of(network, size, channels)
    return [constant_of(layer) for layer in layers if _kind(layer.module) not in CONTRACTIONS]


def constant_of(layer: Layer) -> LayerConstant:
    """The constant of one layer.

    Raises:
        InputError: It is not known.
    """
    name, module, _ = layer
    return LayerConstant(name, _kind(module).__name__, _norm_of(name, module)(layer))


def lipschitz_constant(network: nn.Module, size: Sequence[int], channels: int = 3) -> float:
    """The constant, in L2, of the map from model input to the vector of logits: the product over `layer_constants`."""
    return math.prod(layer.constant for layer in layer_constants(network, size, channels))


def input_factor(preprocessing: Preprocessing) -> float:
    """``1 / min(std)``: how much faster model input changes than pixels in [0, 1]; 4.46 for ImageNet's std.

    Example:
        >>> input_factor(Preprocessing(std=(0.5, 0.25, 0.5)))
        4.0
    """
    return 1 / min(preprocessing.std)


def _kind(module: nn.Module) -> type[nn.Module]:
    return type_before_parametrizations(module)


def _chain(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The layers of a chain by their names."""
    names = list(module._modules) if type(module) is nn.Sequential else getattr(type(module), "chain", None)
    if names is None:
        yield name, module
        return
    if (placed := vars(module).get("forward_head")) is not None:  # what `Backbone.attach` has put there
        raise _unknown(f"{name}.forward_head".lstrip("."), getattr(placed, "head", placed))
    for one in names:
        yield from _chain(module.get_submodule(one), f"{name}.{one}".lstrip("."))


def _run(layer: Layer, stream: Tensor) -> Tensor:
    training = layer.module.training
    try:
        output: Tensor = layer.module.eval()(stream)
    except (RuntimeError, ValueError) as error:
        reason = printable(str(error).splitlines()[0], 120)
        raise InputError(
            f"layer {layer.name} does not take a tensor of shape {layer.shape} ({reason}): give the size of the images"
            " that the network is for"
        ) from error
    finally:
        layer.module.train(training)
    return output


def _norm_of(name: str, module: nn.Module) -> Callable[[Layer], float]:
    """What computes the constant of a layer.

    Raises:
        InputError: Nothing does.
    """
    found = NORMS.get(_kind(module))
    if found is None or (isinstance(module, nn.Conv2d) and module.padding_mode not in PADDINGS):
        raise _unknown(name, module)
    return found


def _unknown(name: str, module: Any) -> InputError:
    known = "Conv2d with zero or circular padding, Linear, GroupSort2, ReLU, Tanh, Flatten, average and maximum pooling"
    return InputError(
        f"the Lipschitz constant of {printable(name or 'the model', 80)} ({_kind(module).__name__}) is not known: give"
        f" lipschitz_cnn, or an nn.Sequential of {known}"
    )


def _one(layer: Layer) -> float:
    return 1.0


def _of_convolution(layer: Layer) -> float:
    assert isinstance(layer.module, nn.Conv2d)
    return convolution_norm(layer.module, layer.shape[-2:])


def _of_linear(layer: Layer) -> float:
    assert isinstance(layer.module, nn.Linear)
    return float(torch.linalg.matrix_norm(layer.module.weight.detach().double(), ord=2))


def _of_average(layer: Layer) -> float:
    """An average is a convolution of every channel with one kernel."""
    pool: Any = layer.module
    kernel, stride, padding = (_two(value) for value in (pool.kernel_size, pool.stride, pool.padding))
    if pool.ceil_mode or (any(padding) and not pool.count_include_pad):  # windows at borders weigh otherwise
        raise _unknown(layer.name, pool)
    rows, columns = (
        -(-max(side + 2 * around, window) // step) * step
        for side, around, window, step in zip(layer.shape[-2:], padding, kernel, stride)
    )
    area = pool.divisor_override or kernel[0] * kernel[1]
    weight = torch.full((1, 1, *kernel), 1 / area, dtype=torch.float64)
    return circular_norm(weight, (rows, columns), stride)


def _of_whole_average(layer: Layer) -> float:
    pool: Any = layer.module
    if _two(pool.output_size) != (1, 1):
        raise _unknown(layer.name, pool)
    return 1 / math.sqrt(math.prod(layer.shape[-2:]))


def _of_maximum(layer: Layer) -> float:
    """Every number is in so many windows at most."""
    pool: Any = layer.module
    sides = zip(_two(pool.kernel_size), _two(pool.stride), _two(pool.dilation))
    return math.sqrt(math.prod(-(-(dilation * (kernel - 1) + 1) // stride) for kernel, stride, dilation in sides))


def _two(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


NORMS: dict[type[nn.Module], Callable[[Layer], float]] = {
    **dict.fromkeys(CONTRACTIONS, _one),
    nn.Conv2d: _of_convolution,
    nn.Linear: _of_linear,
    nn.AvgPool2d: _of_average,
    nn.AdaptiveAvgPool2d: _of_whole_average,
    nn.MaxPool2d: _of_maximum,
}
