"""RV coefficient between channels over a stream."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torchmetrics
from torch import Tensor

from lit_coiba.core.arguments import checks_arguments
from lit_coiba.core.errors import check_count
from lit_coiba.functional.rv import ChannelRV, rv_of_products
from lit_coiba.metrics.card import MetricCard


@checks_arguments
class ChannelCorrelation(torchmetrics.Metric):
    """Mean RV coefficient over pairs of different channels: low = disentangled; see `functional.channel_rv`.

    Memory is that of one matrix ``(D, D)`` in fp64, whatever the number of rows.

    Args:
        channels: Number of channels, D.
        **kwargs: Arguments of ``torchmetrics.Metric``.
    """

    card: ClassVar[MetricCard] = MetricCard(
        "prototypes",
        "reported by InfoDisent, 2024 (arXiv 2409.10329)",
        higher_is_better=False,
        range="0 to 1",
        cost="1 forward",
        undefined="fewer than two channels vary",
    )
    higher_is_better = card.higher_is_better
    full_state_update = False
    is_differentiable = False

    rows: Tensor  # () int64
    sums: Tensor  # (D,) fp64
    products: Tensor  # (D, D) fp64

    def __init__(self, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_count(channels=channels)
        self.add_state("rows", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("sums", torch.zeros(channels, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("products", torch.zeros(channels, channels, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, values: Tensor) -> None:
        """Add rows: pooled values ``(n, D)``, or maps ``(B, D, h, w)``, of which every position is a row."""
        values = values.flatten(2).transpose(1, 2).flatten(0, 1) if values.dim() == 4 else values
        values = values.double()
        self.rows = self.rows + len(values)
        self.sums = self.sums + values.sum(0)
        self.products = self.products + values.T @ values

    def result(self) -> ChannelRV:
        """The mean, and how many channels were left out since they never vary."""
        return rv_of_products(self.rows, self.sums, self.products)

    def compute(self) -> Tensor:
        """The mean, fp64 ``()``, in [0, 1]; NaN where fewer than two channels vary."""
        return self.result().mean
