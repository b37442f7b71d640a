"""The spectral norm of a convolution, from its kernel.

Sedghi et al., The singular values of convolutional layers, 2019 (arXiv 1805.10408), with strides: in the Fourier domain
a circular convolution is one matrix for each frequency, and a stride adds up the frequencies that it makes aliases.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lit_coiba.core.errors import InputError

PADDINGS = ("zeros", "circular")
_CLOSE = 1e-4  # relative, of squared singular values that are bounded, not computed
_NUMBERS = 1 << 22  # of complex matrices at once, 64 MiB


def convolution_norm(layer: nn.Conv2d, size: Sequence[int]) -> float:
    """The largest singular value of a convolution of images of `size`, in fp64.

    Exact, or at most 5e-5 above, for circular padding that keeps the size, up to the stride. Zero padding is bounded by
    the circular convolution of the image with its zeros around it, of which it is a part.

    Args:
        layer: The convolution.
        size: Height and width of its input.

    Raises:
        InputError: Its padding is of another kind.
    """
    if layer.padding_mode not in PADDINGS:
        raise InputError(f"padding_mode is {layer.padding_mode!r}, whose norm is not known: use zeros or circular")
    kernel = layer.weight.detach().double()
    axes = [_axis(layer, kernel.shape[2 + axis], size[axis], axis) for axis in (0, 1)]
    (rows, down, repeats), (columns, right, times) = axes
    norm = circular_norm(kernel, (rows, columns), (down, right), layer.dilation, layer.groups)
    return norm * math.sqrt(repeats * times)


def circular_norm(
    kernel: Tensor,
    size: Sequence[int],
    stride: Sequence[int] = (1, 1),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> float:
    """The norm of a circular convolution on a torus.

    Args:
        kernel: Kernel ``(C_out, C_in / groups, k, l)``.
        size: Height and width of the torus, multiples of the strides.
        stride: Stride down and to the right.
        dilation: Distance of the kernel's entries.
        groups: Number of groups.
    """
    (height, width), (down, right) = size, stride
    per_group = kernel.unflatten(0, (groups, -1))  # (g, o, i, k, l)
    torus = kernel.new_zeros(*per_group.shape[:3], height, width)
    rows = (torch.arange(kernel.shape[2], device=kernel.device) * dilation[0]) % height
    columns = (torch.arange(kernel.shape[3], device=kernel.device) * dilation[1]) % width
    flat = (rows[:, None] * width + columns).flatten()  # a kernel larger than the torus wraps around it
    torus.flatten(3).index_add_(3, flat, per_group.flatten(3))
    responses = torch.fft.fft2(torus)
    # Frequency u of the output is made of the frequencies u, u + H / s, u + 2 H / s, ... of the input.
    aliased = responses.unflatten(3, (down, height // down)).unflatten(5, (right, width // right))
    blocks = aliased.permute(0, 4, 6, 1, 2, 3, 5).flatten(4)  # (g, H / s, W / t, o, i s t)
    blocks = blocks[:, :, : blocks.shape[2] // 2 + 1].flatten(0, 2)  # the others are their conjugates
    step = max(1, _NUMBERS // blocks[0].numel())
    largest = max(_largest(part) for part in blocks.split(step))
    return math.sqrt(max(largest, 0.0) / (down * right))


def _largest(matrices: Tensor) -> float:
    """The largest squared singular value of some matrices, at most `_CLOSE` above it.

    The eigenvalues of a Gram matrix G have the mean ``m = tr(G) / n``, and none is farther from it than ``|G - m I|``:
    where matrices are nearly orthogonal, which is what is asked for most, this is all that has to be computed.
    """
    wide = matrices.shape[-2] <= matrices.shape[-1]
    gram = matrices @ matrices.mH if wide else matrices.mH @ matrices
    means = gram.diagonal(dim1=-2, dim2=-1).real.mean(-1)
    spread = torch.linalg.matrix_norm(gram - torch.diag_embed(means[:, None].expand(-1, gram.shape[-1])).to(gram))
    if float((means + spread).max()) <= float(means.max()) * (1 + _CLOSE):
        return float((means + spread).max())
    return float(torch.linalg.eigvalsh(gram).amax())


def _axis(layer: nn.Conv2d, kernel: int, length: int, axis: int) -> tuple[int, int, int]:
    """Along one axis: length of the torus, stride on it, and how often an output of it is put out at most."""
    stride, reach = layer.stride[axis], layer.dilation[axis] * (kernel - 1)
    named = {"same": reach, "valid": 0}
    around = named[layer.padding] if isinstance(layer.padding, str) else 2 * layer.padding[axis]
    if layer.padding_mode == "zeros" or around == 0:
        whole = max(length + around, reach + 1)
        return -(-whole // stride) * stride, stride, 1
    outputs = (length + around - reach - 1) // stride + 1
    if length % stride:  # its places are some of those without a stride, each at most as often as it fits
        return length, 1, -(-outputs * stride // length)
    return length, stride, -(-outputs * stride // length)
