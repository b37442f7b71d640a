"""A lower bound of a network's constant, for a hundredth of the work: most networks are not 1-Lipschitz by far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from lit_coiba.functional import noise
from lit_coiba.lipschitz.constant import Layer, constant_of, layers_of

ITERATIONS = 8  # of the power method


def least_constant(network: nn.Module, size: Sequence[int], channels: int = 3) -> float:
    """What the constant that a certificate measures is at least: see `Certificate.constant`.

    The product over the layers of how much each stretches one input, which the power method chooses; of a last linear
    layer the norm of its longest row.

    Args:
        network: See `layers_of`.
        size: Height and width of the images in pixels.
        channels: Number of channels of the images.

    Raises:
        InputError: It is no chain, or the constant of one of its layers is not known.

    Example:
        >>> double = nn.Linear(4, 4)
        >>> _ = double.weight.data.copy_(2 * torch.eye(4))
        >>> least_constant(nn.Sequential(nn.Flatten(), double, nn.ReLU()), (2, 2), channels=1)
        2.0
    """
    *below, last = layers_of(network, size, channels)
    least = 1.0
    for layer in below:
        weighted = isinstance(layer.module, nn.Conv2d | nn.Linear)
        least *= _stretch(layer) if weighted else constant_of(layer).constant
    if isinstance(last.module, nn.Linear):
        return least * float(last.module.weight.detach().norm(dim=1).max())
    return least * (_stretch(last) if isinstance(last.module, nn.Conv2d) else constant_of(last).constant)


def _stretch(layer: Layer) -> float:
    """``|A x| / |x|`` for the linear part A of a layer and an x that is close to where it is largest."""
    module: Any = layer.module
    with torch.inference_mode(False), torch.enable_grad():
        x = noise(0, 0, 0, (1, *layer.shape)).to(module.weight)
        for _ in range(ITERATIONS):
            x = (x / x.norm()).detach().requires_grad_()
            y = module(x)
            y = y - module(torch.zeros_like(x)).detach()
            (pulled,) = torch.autograd.grad(y, x, y.detach())
            stretch, x = float(y.detach().norm()), pulled
            if not stretch:
                break
    return stretch
