"""The constraint that makes a plain network 1-Lipschitz while it is trained, and what it is without the constraint.

Weights become functions of free parameters (torch's parametrizations): every forward runs with weights that obey.
"""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.lipschitz.constant import constant_of, layers_of
from lit_coiba.lipschitz.network import HeadKind
from lit_coiba.lipschitz.orthogonal import UnitSpectralNorm, bjorck
from lit_coiba.lipschitz.orthogonal_convolution import AOCKernel, ReshapedKernel, Scheme

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def constrain(
    network: nn.Module,
    size: tuple[int, int],
    convolution: Scheme = "aoc",
    head: HeadKind | None = None,
    channels: int = 3,
) -> None:
    """Make a chain of plain layers 1-Lipschitz for images of `size`, in place: model input in, logits out.

    The rows of the last linear layer make up for what lies below it and is not trained, such as the average over space,
    whose constant is ``1 / sqrt(h w)``.

    Args:
        network: `LipschitzCNN`, or an ``nn.Sequential``; see `constant.layers_of`.
        size: Height and width of the images in pixels.
        convolution: Kernels: ``aoc`` = orthogonal, by orthogonium; ``reshaped`` = bounded, which needs no package.
        head: Classifier: ``disjoint`` or ``orthogonal``, see `LipschitzCNN`; None = what the network says, or
            ``disjoint``.
        channels: Number of channels of the images.

    Raises:
        InputError: It is no such chain, does not end in a linear layer, or is constrained already.
    """
    check_choice(convolution, Scheme, "convolution")
    kind: HeadKind = check_choice(head or getattr(network, "head", "disjoint"), HeadKind, "head")
    layers = layers_of(network, size, channels)
    if any(parametrize.is_parametrized(layer.module) for layer in layers):
        raise InputError(f"{type(network).__name__} is constrained already: give the plain network")
    if not isinstance(layers[-1].module, nn.Linear):
        raise InputError(f"{type(network).__name__} ends in {layers[-1].name}, not in a linear layer: set num_classes")
    weighted = (nn.Conv2d, nn.Linear)
    fixed = math.prod(constant_of(layer).constant for layer in layers if not isinstance(layer.module, weighted))
    for _, layer, _ in layers[:-1]:
        if isinstance(layer, nn.Conv2d):
            _register(layer, AOCKernel(layer) if convolution == "aoc" else ReshapedKernel(layer))
        elif isinstance(layer, nn.Linear):
            _register(layer, OrthogonalMatrix(layer.weight))
    last: Any = layers[-1].module
    _register(last, UnitRows(1 / fixed) if kind == "disjoint" else OrthogonalMatrix(last.weight, 1 / fixed))


def exported(network: AnyModule) -> AnyModule:
    """A copy with plain weights, which are what the constraint made of its parameters; `network` stays as it is."""
    with torch.inference_mode(False), torch.no_grad():
        copy = deepcopy(network)
        for module in copy.modules():
            if parametrize.is_parametrized(module, "weight"):
                _plain(module)
    for parameter in copy.parameters():
        parameter.grad = None
    return copy


def _plain(module: nn.Module) -> None:
    """Put the present weight in the place of its parametrization.

    torch's `remove_parametrizations` takes the property off the class, which a copy shares with its original.
    """
    weight = nn.Parameter(module.weight.detach().clone())  # type: ignore[operator]
    module.__class__ = parametrize.type_before_parametrizations(module)
    del module._modules["parametrizations"]
    others = dict(module._parameters)
    module._parameters.clear()
    module._parameters.update({"weight": weight, **others})  # in the order of a plain layer


class OrthogonalMatrix(nn.Module):
    """A matrix whose singular values are all `scale`.

    Args:
        weight: The weight.
        scale: The singular values.
    """

    def __init__(self, weight: Tensor, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.normalize = UnitSpectralNorm(weight.shape)

    def forward(self, free: Tensor) -> Tensor:
        """The matrix, of the shape of `free`."""
        return _bjorck()(self.normalize(free)) * self.scale


class UnitRows(nn.Module):
    """A matrix whose rows have the norm `scale`: each output has this constant by itself.

    Args:
        scale: The norm.
    """

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, free: Tensor) -> Tensor:
        """The matrix, of the shape of `free`."""
        return free / free.norm(dim=1, keepdim=True) * self.scale


def _register(layer: Any, weight: nn.Module) -> None:
    parametrize.register_parametrization(layer, "weight", Precise(weight))


class Precise(nn.Module):
    """A parametrization in the precision of its parameters, also under autocast, whose rounding would break it.

    Args:
        weight: The parametrization.
    """

    def __init__(self, weight: nn.Module) -> None:
        super().__init__()
        self.weight = weight
        if hasattr(weight, "right_inverse"):
            self.right_inverse = weight.right_inverse

    def forward(self, *free: Tensor) -> Tensor:
        """The weight."""
        with torch.autocast(free[0].device.type, enabled=False):
            weight: Tensor = self.weight(*free)
        return weight


def _bjorck() -> Any:
    """deel-torchlip's iteration where it is installed; ours is the same."""
    try:
        from deel.torchlip.normalizers import bjorck_normalization
    except ImportError:
        return bjorck
    return bjorck_normalization
