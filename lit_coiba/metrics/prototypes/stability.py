"""Stability: does a prototype stay where it is when the image is disturbed a little?"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torchmetrics
from torch import Tensor

from lit_coiba.core.arguments import checks_arguments
from lit_coiba.metrics.card import MetricCard


@checks_arguments
class Stability(torchmetrics.Metric):
    """Share of images of its class in which noise leaves the parts that a prototype lies on as they are.

    Huang et al., 2022 (arXiv 2212.05946), with the rules of the public code: the mean over prototypes, not over images;
    prototypes of classes without an image are left out.

    Args:
        prototypes: Units of each class ``(K, T)``, -1 = none; see `class_prototypes`.
        **kwargs: Arguments of ``torchmetrics.Metric``.
    """

    card: ClassVar[MetricCard] = MetricCard(
        "prototypes",
        "Huang et al., 2022 (arXiv 2212.05946)",
        higher_is_better=True,
        range="0 to 1",
        cost="2 forwards",
        undefined="no prototype has an image of its class",
    )
    higher_is_better = card.higher_is_better
    full_state_update = False
    is_differentiable = False

    unchanged: Tensor  # (K, T) int64
    images: Tensor  # (K,) int64

    def __init__(self, prototypes: Tensor, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.exists = prototypes >= 0
        self.add_state("unchanged", torch.zeros(prototypes.shape, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("images", torch.zeros(len(prototypes), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, clean: Tensor, noisy: Tensor, labels: Tensor) -> None:
        """Add images: part vectors ``(B, T, P)`` of the prototypes of the true class, twice, and labels ``(B,)``."""
        same = (clean == noisy).all(-1)
        self.unchanged = self.unchanged.index_add(0, labels, same.long())
        self.images = self.images.index_add(0, labels, torch.ones_like(labels))

    def compute(self) -> Tensor:
        """Mean share over prototypes, fp64 ``()``, in [0, 1]; NaN where none was seen."""
        seen = self.exists.to(self.images.device) & (self.images > 0)[:, None]
        return (self.unchanged.double() / self.images.clamp_min(1)[:, None])[seen].mean()
