"""Matrices whose singular values are 1: a division by the largest one, then Bjorck's iteration.

Anil et al., Sorting out Lipschitz function approximation, 2019 (arXiv 1811.05381), with the settings of deel-torchlip.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lit_coiba.functional import noise

BETA = 0.5  # of Bjorck's iteration
BJORCK_ITERATIONS = 15  # at most
BJORCK_TOLERANCE = 1e-3  # norm of the last change
DIFFERENTIATED = 4  # first iterations that gradients flow through wholly; of later ones the Gram product is a constant
POWER_ITERATIONS = 10  # in a step of training; the vector is kept, so that they add up over the steps


class UnitSpectralNorm(nn.Module):
    """Matrices divided by their largest singular value, which power iteration finds.

    In evaluation mode the kept vector is a starting point and stays as it is, so the output is a function of the state.

    Args:
        weight_shape: Shape ``(..., rows, columns)`` of the matrices.
        iterations: Iterations in a forward.
    """

    u: Tensor

    def __init__(self, weight_shape: Sequence[int], iterations: int = POWER_ITERATIONS) -> None:
        super().__init__()
        self.iterations = iterations
        start = noise(0, 0, 0, (*weight_shape[:-1], 1))
        self.register_buffer("u", start / start.norm(dim=-2, keepdim=True))

    def forward(self, weight: Tensor) -> Tensor:
        """Matrices of norm 1, ``(..., rows, columns)``."""
        with torch.no_grad():
            u = self.u.to(weight.dtype)
            for _ in range(self.iterations):
                v = _unit(weight.mT @ u)
                u = _unit(weight @ v)
            if self.training:
                self.u.copy_(u)
        largest = u.mT @ weight @ v
        return weight / largest.clamp_min(torch.finfo(weight.dtype).tiny)


def bjorck(weight: Tensor, tolerance: float = BJORCK_TOLERANCE, iterations: int = BJORCK_ITERATIONS) -> Tensor:
    """``W <- (1 + b) W - b W W^T W``, which brings all singular values in (0, sqrt(3)) to 1.

    Args:
        weight: Matrices ``(..., rows, columns)`` of norm 1 at most.
        tolerance: Norm of a change at which it ends.
        iterations: Iterations at most.

    Example:
        >>> bjorck(torch.tensor([[0.9, 0.0], [0.0, 1.0]])).round(decimals=3)
        tensor([[1., 0.],
                [0., 1.]])
    """
    wide = weight.shape[-2] <= weight.shape[-1]
    for iteration in range(iterations):
        product = (weight @ weight.mT) @ weight if wide else weight @ (weight.mT @ weight)
        before, weight = weight, (1 + BETA) * weight - BETA * _constant_after(product, iteration)
        if float((weight - before).detach().norm()) < tolerance:
            break
    return weight


def _constant_after(product: Tensor, iteration: int) -> Tensor:
    return product if iteration < DIFFERENTIATED else product.detach()


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=-2, keepdim=True).clamp_min(torch.finfo(vectors.dtype).tiny)
