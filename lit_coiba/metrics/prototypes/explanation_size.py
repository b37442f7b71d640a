"""Explanation size: how many units a user has to look at, as three numbers."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
import torchmetrics
from torch import Tensor

from lit_coiba.core.arguments import checks_arguments
from lit_coiba.core.errors import check_count
from lit_coiba.metrics.card import MetricCard


class Sizes(NamedTuple):
    """Numbers of units; each alone says little."""

    everywhere: int  # units that any class uses
    per_class: float  # units that a class uses, mean over classes
    per_image: float  # units that decide about an image, mean over images; NaN without images


@checks_arguments
class ExplanationSize(torchmetrics.Metric):
    """Units that matter, for the whole model, for a class and for an image.

    A class uses a unit whose weight is larger, in absolute value, than `threshold` times the largest weight of that
    class. A unit decides about an image if its contribution is larger, in absolute value, than `threshold` times the
    largest one in that image.

    SIDE (arXiv 2507.19321) counts 21 prototypes of InfoDisent above a threshold of 0.2 and 747 below, and what is
    counted is not known to us: of a share of the sum at most four could be above 0.2, so a share of the largest is our
    reading (a reconstruction).

    Args:
        weights: Weights of the classes ``(K, U)``; None = every class uses every unit.
        units: Number of units, U.
        threshold: Share of the largest above which a unit counts.
        **kwargs: Arguments of ``torchmetrics.Metric``.

    Example:
        >>> size = ExplanationSize(torch.tensor([[1.0, 0.5, 0.0], [0.0, 0.1, 2.0]]), 3)
        >>> size.update(torch.tensor([[3.0, -1.0, 0.2]]))
        >>> size.sizes()
        Sizes(everywhere=3, per_class=1.5, per_image=2.0)
    """

    card: ClassVar[MetricCard] = MetricCard(
        "prototypes",
        "SIDE, 2025 (arXiv 2507.19321)",
        higher_is_better=False,
        range="0 to the number of units",
        cost="1 forward",
        undefined="there is no image",
    )
    higher_is_better = card.higher_is_better
    full_state_update = False
    is_differentiable = False

    counted: Tensor  # () int64: units over all images
    images: Tensor  # () int64

    def __init__(self, weights: Tensor | None, units: int, threshold: float = 0.2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_count(units=units)
        self.threshold = threshold
        used = torch.ones(1, units, dtype=torch.bool) if weights is None else above_share(weights, threshold)
        self.everywhere = int(used.any(0).sum())
        self.per_class = used.sum(1).double().mean().item()
        self.add_state("counted", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("images", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, contributions: Tensor) -> None:
        """Add what units contribute to the predicted class of images, ``(B, U)``."""
        self.counted = self.counted + above_share(contributions, self.threshold).sum()
        self.images = self.images + len(contributions)

    def compute(self) -> Tensor:
        """Units that decide about an image, mean, fp64 ``()``; NaN without images."""
        return self.counted.double() / self.images

    def sizes(self) -> Sizes:
        """All three numbers."""
        return Sizes(self.everywhere, self.per_class, float(self.compute()))


def above_share(values: Tensor, threshold: float) -> Tensor:
    """Which entries of each row are larger in absolute value than a share of its largest, bool ``(B, U)``."""
    sizes = values.detach().abs()
    return sizes > threshold * sizes.amax(1, keepdim=True)
