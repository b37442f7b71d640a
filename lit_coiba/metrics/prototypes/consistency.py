"""Consistency: does a prototype lie on the same part of the object in all images of its class?"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torchmetrics
from torch import Tensor

from lit_coiba.core.arguments import checks_arguments
from lit_coiba.core.errors import check_count
from lit_coiba.metrics.card import MetricCard


@checks_arguments
class Consistency(torchmetrics.Metric):
    """Share of prototypes that lie on one part in at least 80% of the images of their class that show it.

    Huang et al., 2022 (arXiv 2212.05946), with the rules of the public code: an image counts for a part only where the
    part can be seen, and exactly 80% is enough. Prototypes of classes without an image are left out.

    Args:
        prototypes: Units of each class ``(K, T)``, -1 = none; see `class_prototypes`.
        parts: Number of parts, P.
        threshold: Share of images from which on a prototype is consistent.
        **kwargs: Arguments of ``torchmetrics.Metric``.
    """

    card: ClassVar[MetricCard] = MetricCard(
        "prototypes",
        "Huang et al., 2022 (arXiv 2212.05946)",
        higher_is_better=True,
        range="0 to 1",
        cost="1 forward",
        undefined="no prototype has an image of its class",
    )
    higher_is_better = card.higher_is_better
    full_state_update = False
    is_differentiable = False

    inside: Tensor  # (K, T, P) int64: images in which a prototype lies on a part
    visible: Tensor  # (K, P) int64: images that show a part
    images: Tensor  # (K,) int64

    def __init__(self, prototypes: Tensor, parts: int, threshold: float = 0.8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_count(parts=parts)
        self.threshold = threshold
        self.exists = prototypes >= 0
        self.add_state("inside", torch.zeros(*prototypes.shape, parts, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("visible", torch.zeros(len(prototypes), parts, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("images", torch.zeros(len(prototypes), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, vectors: Tensor, visible: Tensor, labels: Tensor) -> None:
        """Add images.

        Args:
            vectors: What `functional.part_vectors` says of the prototypes of the true class, ``(B, T, P)``, bool.
            visible: Which parts can be seen, ``(B, P)``, bool.
            labels: True classes ``(B,)``.
        """
        self.inside = self.inside.index_add(0, labels, vectors.long())
        self.visible = self.visible.index_add(0, labels, visible.long())
        self.images = self.images.index_add(0, labels, torch.ones_like(labels))

    def consistent(self) -> Tensor:
        """Which prototypes are, ``(K, T)``, bool."""
        means = self.inside.double() / self.visible.clamp_min(1)[:, None]
        return (means >= self.threshold).any(-1)

    def compute(self) -> Tensor:
        """The share, fp64 ``()``, in [0, 1]; NaN where no prototype was seen."""
        seen = self.exists.to(self.images.device) & (self.images > 0)[:, None]
        return self.consistent()[seen].double().mean()
