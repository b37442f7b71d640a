"""Kernels of convolutions with the Lipschitz constant 1, as functions of free parameters.

Boissin et al., AOC, 2025 (arXiv 2501.07930): with circular padding every singular value is 1. The parametrization is
that of the package orthogonium; without it kernels are bounded as matrices (Li et al., 2019, arXiv 1911.00937): the
constant is at most 1, and mostly below it.
"""

from __future__ import annotations

import math
from functools import partial
from importlib.util import find_spec
from typing import Any, Literal

from torch import Tensor, nn

from lit_coiba.core.errors import InputError
from lit_coiba.lipschitz.orthogonal import UnitSpectralNorm, bjorck

Scheme = Literal["aoc", "reshaped"]

BJORCK = {"beta": 0.5, "niters": 12}  # orthogonium's defaults, for kernels that keep every singular value at 1
AOC_POWER_ITERATIONS = 3  # orthogonium's default


def default_scheme() -> Scheme:
    """AOC where the package orthogonium is installed."""
    return "aoc" if find_spec("orthogonium") is not None else "reshaped"


class AOCKernel(nn.Module):
    """The kernel of `AdaptiveOrthoConv2d`: without a stride one block convolution, else one and a strided matrix.

    Args:
        layer: A convolution; what it becomes starts at random, whatever its kernel is.

    Raises:
        InputError: orthogonium is not installed, or has no orthogonal convolution of this kind.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        model = _orthogonium_layer(layer)
        names = ["weight_1", "weight_2"] if "weight_1" in model.parametrizations else ["weight"]
        chains = [model.parametrizations[name] for name in names]
        self.kernels = nn.ModuleList(nn.Sequential(*chain) for chain in chains)
        self.groups = layer.groups
        self._start = [chain.original.detach().clone() for chain in chains]

    def forward(self, *free: Tensor) -> Tensor:
        """The kernel ``(C_out, C_in / groups, k, k)``, in the precision of the parameters also under autocast."""
        from orthogonium.layers.conv.AOC.fast_block_ortho_conv import fast_matrix_conv

        kernels = [kernel(tensor) for kernel, tensor in zip(self.kernels, free)]
        return kernels[0] if len(kernels) == 1 else fast_matrix_conv(*kernels, self.groups).contiguous()

    def right_inverse(self, kernel: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The parameters that it starts at."""
        start = [tensor.to(kernel) for tensor in self._start]
        return start[0] if len(start) == 1 else tuple(start)


class ReshapedKernel(nn.Module):
    """A kernel that is orthogonal as a matrix of outputs and patches, divided by how often patches share a pixel.

    Args:
        layer: A convolution.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.groups = layer.groups
        rows, columns = layer.out_channels // layer.groups, layer.weight[0].numel()
        self.normalize = UnitSpectralNorm((layer.groups, rows, columns))
        self.scale = 1 / math.sqrt(math.prod(_shared(layer, axis) for axis in (0, 1)))

    def forward(self, free: Tensor) -> Tensor:
        """The kernel, of the shape of `free`."""
        matrices = free.flatten(1).unflatten(0, (self.groups, -1))
        return bjorck(self.normalize(matrices)).reshape(free.shape) * self.scale


def _shared(layer: nn.Conv2d, axis: int) -> int:
    """In how many windows a pixel is at most, along one axis."""
    kernel, stride = layer.kernel_size[axis], layer.stride[axis]
    return kernel if layer.dilation[axis] > 1 else -(-kernel // stride)


def _orthogonium_layer(layer: nn.Conv2d) -> Any:
    try:
        from orthogonium.layers.conv.AOC import AdaptiveOrthoConv2d
        from orthogonium.reparametrizers import BatchedBjorckOrthogonalization, OrthoParams
    except ImportError as error:
        raise InputError(
            "orthogonal convolutions need the package orthogonium: pip install 'lit-coiba[lipschitz]', or take"
            " convolution: reshaped"
        ) from error
    settings = OrthoParams(
        partial(UnitSpectralNorm, iterations=AOC_POWER_ITERATIONS), partial(BatchedBjorckOrthogonalization, **BJORCK)
    )
    sizes = [sides[0] for sides in (layer.kernel_size, layer.stride, layer.dilation)]
    kernel, stride, dilation = sizes
    try:
        if any(len(set(sides)) > 1 for sides in (layer.kernel_size, layer.stride, layer.dilation)):
            raise ValueError("kernel, stride or dilation differ along the axes")
        made = AdaptiveOrthoConv2d(
            *(layer.in_channels, layer.out_channels, kernel, stride),
            padding=0,
            dilation=dilation,
            groups=layer.groups,
            bias=False,
            ortho_params=settings,
        )
    except (ValueError, AssertionError, RuntimeError) as error:
        raise InputError(
            f"orthogonium has no orthogonal convolution of {layer} ({error}): change it, or take convolution: reshaped"
        ) from error
    return made
