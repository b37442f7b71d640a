"""Certified radii: how far an image may move, in L2, before the decision of a Lipschitz network can change.

Tsuzuku et al., Lipschitz-margin training, 2018 (arXiv 1802.04034), and Serrurier et al., HKR, 2021 (arXiv 2006.06520).
Each is in the units in which L is measured: for pixels in [0, 1], L is that of the network times ``1 / min(std)``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def binary_radius(logits: Tensor, constant: float = 1.0) -> Tensor:
    """``|f| / L`` for the sign of one logit, of the shape of `logits`.

    Args:
        logits: f, of any shape.
        constant: L of f.

    Example:
        >>> binary_radius(torch.tensor([-1.0, 3.0]), constant=2.0)
        tensor([0.5000, 1.5000])
    """
    return logits.abs() / constant


def disjoint_radius(logits: Tensor, constant: float = 1.0) -> Tensor:
    """``(f_(1) - f_(2)) / (2 L)`` where each logit has the constant L by itself; ``(B, K)`` -> ``(B,)``.

    Example:
        >>> disjoint_radius(torch.tensor([[3.0, 1.0, 0.0]]))
        tensor([1.])
    """
    return _margin(logits) / (2 * constant)


def orthogonal_radius(logits: Tensor, constant: float = 1.0) -> Tensor:
    """``(f_(1) - f_(2)) / (sqrt(2) L)`` where the vector of logits has the constant L; ``(B, K)`` -> ``(B,)``.

    Example:
        >>> orthogonal_radius(torch.tensor([[3.0, 1.0, 0.0]]))
        tensor([1.4142])
    """
    return _margin(logits) / (math.sqrt(2) * constant)


def linear_head_radius(logits: Tensor, weight: Tensor, constant: float = 1.0) -> Tensor:
    """``min over k != y of (f_y - f_k) / (|w_y - w_k| L)``, the tightest of them; ``(B, K)`` -> ``(B,)``.

    y is the predicted class. Classes with equal rows differ by their biases, which no image changes: they set no bound,
    and a tie with one of them has radius 0.

    Args:
        logits: f, ``(B, K)``.
        weight: Rows w_k of the linear layer that f comes from, ``(K, D)``.
        constant: L of all that is below that layer.

    Example:
        >>> linear_head_radius(torch.tensor([[3.0, 1.0, 0.0]]), torch.eye(3))
        tensor([1.4142])
    """
    distances = torch.cdist(weight.double(), weight.double(), compute_mode="donot_use_mm_for_euclid_dist")
    top, predicted = logits.double().max(1, keepdim=True)
    reach = distances[predicted.squeeze(1)] * constant  # (B, K): how fast the margin over each class can fall
    margins = top - logits.double()
    radii = torch.where(reach > 0, margins / reach, torch.where(margins > 0, math.inf, 0.0))
    return radii.scatter(1, predicted, math.inf).amin(1).to(logits.dtype)


def _margin(logits: Tensor) -> Tensor:
    """The largest logit minus the second largest."""
    top = logits.topk(2, dim=1).values
    return top[:, 0] - top[:, 1]
