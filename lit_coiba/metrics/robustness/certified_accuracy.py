"""Certified accuracy: how many decisions are right and cannot be changed within a radius."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torchmetrics
from torch import Tensor

from lit_coiba.core.arguments import checks_arguments
from lit_coiba.core.errors import InputError
from lit_coiba.lipschitz.decisions import USUAL
from lit_coiba.metrics.card import MetricCard


@checks_arguments
class CertifiedAccuracy(torchmetrics.Metric):
    """Share of samples whose prediction is right with a certified radius above each of some radii.

    Also called verified robust accuracy: no attack whatever reaches these samples. The radii of predictions come from
    `lit_coiba.lipschitz.Certificate`. States are counts, reduced by sum: exact over uneven processes.

    Args:
        radii: Radii, 0 or more, in the units of the certificates: L2 of pixels in [0, 1]. At 0 it is the accuracy of
            predictions that are not tied.
        **kwargs: Arguments of ``torchmetrics.Metric``.

    Raises:
        InputError: There are no radii, or one is negative.

    Example:
        >>> accuracy = CertifiedAccuracy(radii=[0.0, 0.5])
        >>> accuracy.update(torch.tensor([0.7, 0.2, 0.9]), torch.tensor([True, True, False]))
        >>> accuracy.compute()
        tensor([0.6667, 0.3333], dtype=torch.float64)
    """

    card: ClassVar[MetricCard] = MetricCard(
        "robustness",
        "Serrurier et al., Achieving robustness in classification using optimal transport, 2021, arXiv 2006.06520",
        higher_is_better=True,
        range="0 to 1",
        cost="1 forward",
        undefined="no samples",
    )
    higher_is_better = card.higher_is_better
    full_state_update = False
    is_differentiable = False

    certified: Tensor  # (n,) int64: right decisions that are certified at each radius
    right: Tensor  # () int64
    count: Tensor  # () int64

    def __init__(self, radii: Sequence[float] = USUAL, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not len(radii) or not all(radius >= 0 and math.isfinite(radius) for radius in radii):
            raise InputError(f"radii is {list(radii)}: give numbers, 0 or more, such as 36 / 255")
        self.radii = [float(radius) for radius in radii]
        self.add_state("certified", torch.zeros(len(radii), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("right", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, radii: Tensor, right: Tensor) -> None:
        """Add samples.

        Args:
            radii: Certified radius of each prediction ``(B,)``.
            right: Whether it is right ``(B,)``.
        """
        asked = radii.new_tensor(self.radii)
        self.certified = self.certified + (right[:, None] & (radii[:, None] > asked)).sum(0).to(self.certified.device)
        self.right = self.right + right.sum().to(self.right.device)
        self.count = self.count + len(right)

    def compute(self) -> Tensor:
        """Certified accuracy at each radius, fp64 ``(n,)``; NaN without samples."""
        return self.certified.double() / self.count

    def accuracy(self) -> Tensor:
        """Accuracy without a certificate, fp64 ``()``, of the samples that this process has seen."""
        return self.right.double() / self.count
