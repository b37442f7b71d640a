"""Channel purity on the images that each channel answers to most, over a stream."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torchmetrics
from torch import Tensor

from lit_coiba.core.arguments import checks_arguments
from lit_coiba.core.errors import check_count
from lit_coiba.functional import channel_purity
from lit_coiba.metrics.card import MetricCard


@checks_arguments
class StrongestPurity(torchmetrics.Metric):
    """Mean purity of each channel on its strongest images, then over channels.

    EPIC (arXiv 2505.12897): the strongest images are those with the largest sum of the channel over all positions, its
    purity there is `functional.channel_purity`. Memory is that of `images` numbers for each channel.

    Args:
        channels: Number of channels, D.
        images: Number of images for each channel; all, where there are fewer.
        **kwargs: Arguments of ``torchmetrics.Metric``.
    """

    card: ClassVar[MetricCard] = MetricCard(
        "prototypes",
        "Borycki et al., EPIC, 2025 (arXiv 2505.12897)",
        higher_is_better=True,
        range="-1 to 1",
        cost="1 forward",
        undefined="there is no image",
    )
    higher_is_better = card.higher_is_better
    full_state_update = False
    is_differentiable = False

    scores: Tensor  # (images, D): -inf = not there yet
    purities: Tensor  # (images, D)

    def __init__(self, channels: int, images: int = 5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_count(channels=channels, images=images)
        self.count = images
        self.add_state("scores", torch.full((images, channels), -torch.inf), dist_reduce_fx="cat")
        self.add_state("purities", torch.zeros(images, channels), dist_reduce_fx="cat")

    def update(self, maps: Tensor) -> None:
        """Add the maps ``(B, D, h, w)`` of images."""
        scores = torch.cat([self.scores, maps.sum((-2, -1)).to(self.scores)])
        purities = torch.cat([self.purities, channel_purity(maps).to(self.purities)])
        self.scores, self.purities = self._strongest(scores, purities)

    def channels(self) -> Tensor:
        """Purity of each channel ``(D,)``; NaN before the first image."""
        scores, purities = self._strongest(self.scores.flatten(0, -2), self.purities.flatten(0, -2))
        there = scores > -torch.inf
        return (purities * there).sum(0) / there.sum(0)

    def compute(self) -> Tensor:
        """Mean over channels ``()``."""
        return self.channels().mean()

    def _strongest(self, scores: Tensor, purities: Tensor) -> tuple[Tensor, Tensor]:
        top = scores.topk(self.count, 0)
        return top.values, purities.gather(0, top.indices)
