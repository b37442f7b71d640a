"""HKR against the strongest other classes, which a softmax with a temperature of its own weighs.

Serrurier et al., On the explainable properties of 1-Lipschitz neural networks, 2023 (arXiv 2206.06854).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lit_coiba.losses.hkr import hinge, signed, true_classes

FACTOR = 0.99  # of the moving average, arXiv 2206.06854
LEAST, MOST = 0.005, 250.0  # of the temperature, arXiv 2206.06854


class SoftHKR(nn.Module):
    """``sum_k F_k [(1 - alpha) (-s_k f_k) + alpha max(0, m / 2 - s_k f_k)]``, averaged over the batch.

    F is 1 for the true class, and over the others the softmax of ``T f``, through which gradients flow. T follows the
    size of the logits, ``T = clamp(temperature m / max(average of |f|, m))``; the average moves while the module is in
    training mode, and is saved with it. Of several processes that train together the first one's counts.

    Args:
        alpha: Share of the hinge, 0 to 1.
        margin: m, the full width of the band around the boundary.
        temperature: tau; larger numbers look more at the strongest other class.

    Example:
        >>> SoftHKR()(torch.tensor([[1.0, -1.0]]), torch.tensor([0]))
        tensor(-0.2000)
    """

    average: Tensor

    def __init__(self, alpha: float = 0.9, margin: float = 1.0, temperature: float = 1.0) -> None:
        super().__init__()
        self.alpha, self.margin, self.temperature = alpha, margin, temperature
        self.register_buffer("average", torch.tensor(float(margin)))

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Scalar loss of logits ``(B, K)`` and classes ``(B,)``."""
        positive = true_classes(logits, targets)
        others = (self._inverse_temperature(logits) * logits).masked_fill(positive, -math.inf).softmax(1)
        weights = torch.where(positive, 1.0, others)
        terms = (self.alpha - 1) * signed(logits, positive) + self.alpha * hinge(logits, positive, self.margin)
        return (weights * terms).sum(1).mean()

    def _inverse_temperature(self, logits: Tensor) -> Tensor:
        """T, a constant for gradients."""
        with torch.no_grad():
            average = self.average
            if self.training:
                average = FACTOR * average + (1 - FACTOR) * logits.abs().mean().to(average)
                self.average.copy_(average)
            return (self.temperature * self.margin / average.clamp_min(self.margin)).clamp(LEAST, MOST)
