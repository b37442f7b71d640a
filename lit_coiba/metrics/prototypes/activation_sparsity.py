"""Activation sparsity: over how much of the image a channel is spread."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torchmetrics
from torch import Tensor

from lit_coiba.core.arguments import checks_arguments
from lit_coiba.core.errors import check_count
from lit_coiba.metrics.card import MetricCard


@checks_arguments
class ActivationSparsity(torchmetrics.Metric):
    """Histogram over images and channels of the share of positions where a channel is above 10% of its maximum.

    The maximum is that of the absolute values of the channel in the same image; the definition is our own. Compare the
    features themselves with the rotated ones.

    Args:
        bins: Number of bins of equal width over (0, 1]; a share on an edge belongs to the bin below it.
        threshold: Share of the maximum above which a channel is active.
        **kwargs: Arguments of ``torchmetrics.Metric``.

    Example:
        >>> sparsity = ActivationSparsity(bins=4)
        >>> sparsity.update(torch.tensor([[[[1.0, 0.0, 0.05, 0.0]], [[1.0, -1.0, 1.0, 1.0]]]]))
        >>> sparsity.histogram
        tensor([1, 0, 0, 1])
    """

    card: ClassVar[MetricCard] = MetricCard(
        "prototypes",
        "",
        higher_is_better=None,
        range="0 to 1",
        cost="1 forward",
        undefined="every channel is 0 everywhere",
    )
    higher_is_better = card.higher_is_better
    full_state_update = False
    is_differentiable = False

    histogram: Tensor  # (bins,) int64: pairs of image and channel
    total: Tensor  # () fp64: sum of the shares
    dead: Tensor  # () int64: pairs in which the channel is 0 everywhere, which are in no bin

    def __init__(self, bins: int = 20, threshold: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_count(bins=bins)
        self.bins, self.threshold = bins, threshold
        self.add_state("histogram", torch.zeros(bins, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("dead", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, maps: Tensor) -> None:
        """Add the maps ``(B, D, h, w)`` of images."""
        sizes = maps.detach().flatten(2).abs()
        peaks = sizes.amax(-1)
        counts = (sizes > self.threshold * peaks[..., None]).sum(-1)[peaks > 0]
        positions = sizes.shape[-1]
        which = torch.div(counts * self.bins - 1, positions, rounding_mode="floor")
        self.histogram = self.histogram + torch.bincount(which, minlength=self.bins)
        self.total = self.total + counts.double().sum() / positions
        self.dead = self.dead + (peaks == 0).sum()

    def compute(self) -> Tensor:
        """Mean share of positions, fp64 ``()``; NaN where every channel is 0."""
        return self.total / self.histogram.sum()
