"""Sparseness: how few cells have most of a map."""

from typing import ClassVar

from torch import Tensor

from lit_coiba.functional import gini
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.maps import checked_maps, not_finite
from lit_coiba.metrics.metric import Metric


class Sparseness(Metric):
    """Gini index of a map's absolute attribution, at the map's own grid.

    Chalasani et al., 2020 (arXiv 1810.06583); Quantus and Xplique define it in the same way. 0 for a uniform map, 1 -
    1/n for a single one of n cells. It says nothing about truth.

    Args:
        keep_samples: Whether every score is kept.

    Example:
        >>> import torch
        >>> Sparseness().score(torch.tensor([[[1.0, -2.0], [4.0, 3.0]]]))
        tensor([0.2500])
    """

    card = MetricCard(
        "complexity",
        "Chalasani et al., Concise Explanations of Neural Networks, 2020 (arXiv 1810.06583)",
        higher_is_better=True,
        range="0 to 1 - 1/n for n cells",
        cost="none",
        undefined="the map is zero everywhere or not finite",
    )
    higher_is_better = card.higher_is_better
    needs: ClassVar[tuple[str, ...]] = ("maps",)

    def score(self, maps: Tensor) -> Tensor:
        """Gini indices ``(B,)`` of maps ``(B, h, w)``."""
        maps = checked_maps(maps, len(maps))
        return gini(maps).masked_fill(not_finite(maps), float("nan"))
