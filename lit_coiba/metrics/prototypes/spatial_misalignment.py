"""Spatial misalignment: does a prototype look at the place that it is shown by? A variant of our own."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
import torchmetrics
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.functional.misalignment import misalignment
from lit_coiba.metrics.card import MetricCard


class MisalignmentScores(NamedTuple):
    """Means over prototypes and images, fp64 ``()`` each."""

    location: Tensor  # share of prototypes whose strongest cell is another one
    shift: Tensor  # distance of the two cells, in cells
    activation: Tensor  # relative change of the largest activation, negative = lower
    rank: Tensor  # places by which a prototype moves among those of the image
    accuracy: Tensor  # change of the share of images that are classified right


class SpatialMisalignment(torchmetrics.Metric):
    """Share of prototypes whose strongest place moves when the image changes outside the box that shows them.

    A definition of our own after the idea of Sacha et al., "Interpretability Benchmark for Evaluating Spatial
    Misalignment of Prototypical Parts Explanations", AAAI 2024: a receptive field is larger than the patch that is
    shown, so that what is around it may decide. Never compare it with the numbers of that benchmark, whose change is
    adversarial: here all pixels outside the box become noise (`functional.misalignment.outside_noise`). 0 is best: a
    model that sees the box alone. `scores` has the other measures.

    Args:
        **kwargs: Arguments of ``torchmetrics.Metric``.
    """

    card: ClassVar[MetricCard] = MetricCard(
        "prototypes",
        "",
        higher_is_better=False,
        range="0 to 1",
        cost="1 forward, and 1 per prototype",
        undefined="there is no prototype",
    )
    higher_is_better = card.higher_is_better
    full_state_update = False
    is_differentiable = False

    total: Tensor  # (4,) fp64: sums of moved, shift, activation, rank
    count: Tensor  # (4,) int64: how many are defined
    right: Tensor  # (2,) int64: images that are right, clean and changed
    images: Tensor  # (2,) int64

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.zeros(4, dtype=torch.float64), dist_reduce_fx="sum")
        for name, size in {"count": 4, "right": 2, "images": 2}.items():
            self.add_state(name, torch.zeros(size, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, clean: Tensor, changed: Tensor, right: Tensor, right_changed: Tensor) -> None:
        """Add images.

        Args:
            clean: Maps of T prototypes on each image ``(B, T, h, w)``.
            changed: The same on T versions of each image, version t changed outside the box of prototype t: ``(B, T, T,
                h, w)``.
            right: Whether the clean images are classified right, ``(B,)`` bool.
            right_changed: Whether the versions are, ``(B, T)`` bool.

        Raises:
            InputError: Shapes that do not fit.
        """
        count = clean.shape[:2]
        if changed.shape != (*count, *clean.shape[1:]) or right.shape != count[:1] or right_changed.shape != count:
            raise InputError(
                f"changed {tuple(changed.shape)}, right {tuple(right.shape)} and right_changed"
                f" {tuple(right_changed.shape)} do not fit clean {tuple(clean.shape)}: give (B, T, T, h, w), (B,) and"
                " (B, T)"
            )
        found = torch.stack([values.double() for values in misalignment(clean, changed)]).flatten(1)  # (4, B * T)
        self.total = self.total + found.nansum(1)
        self.count = self.count + (~found.isnan()).sum(1)
        self.right = self.right + torch.stack([right.sum(), right_changed.sum()])
        self.images = self.images + torch.tensor([right.numel(), right_changed.numel()], device=self.images.device)

    def compute(self) -> Tensor:
        """Share of prototypes that move, fp64 ``()``; NaN where there are none."""
        return self.total[0] / self.count[0]

    def scores(self) -> MisalignmentScores:
        """All measures."""
        means, (clean, changed) = self.total / self.count, self.right.double() / self.images
        location, shift, activation, rank = means
        return MisalignmentScores(location, shift, activation, rank, changed - clean)
