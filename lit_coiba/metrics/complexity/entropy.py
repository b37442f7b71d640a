"""Entropy: how spread out a map is."""

from typing import ClassVar

from torch import Tensor

from lit_coiba.functional import map_entropy
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.maps import checked_maps, not_finite
from lit_coiba.metrics.metric import Metric


class Entropy(Metric):
    """Entropy of a map's absolute attribution, in nats, at the map's own grid: its complexity.

    Bhatt, Weller and Moura, 2020 (arXiv 2005.00631). It is the logarithm of the number of cells for a uniform map and 0
    for a single cell, so that maps on different grids do not compare. It says nothing about truth.

    Args:
        keep_samples: Whether every score is kept.

    Example:
        >>> import torch
        >>> Entropy().score(torch.tensor([[[2.0, -1.0, 1.0]]]))
        tensor([1.0397])
    """

    card = MetricCard(
        "complexity",
        "Bhatt, Weller and Moura, Evaluating and Aggregating Explanations, 2020 (arXiv 2005.00631)",
        higher_is_better=False,
        range="0 to the logarithm of the number of cells, nats",
        cost="none",
        undefined="the map is zero everywhere or not finite",
    )
    higher_is_better = card.higher_is_better
    needs: ClassVar[tuple[str, ...]] = ("maps",)

    def score(self, maps: Tensor) -> Tensor:
        """Entropies ``(B,)`` of maps ``(B, h, w)``."""
        maps = checked_maps(maps, len(maps))
        return map_entropy(maps).masked_fill(not_finite(maps), float("nan"))
