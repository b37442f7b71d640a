"""Suppressor share: how much of a map calls something evidence that is none, but that an optimal model uses."""

from typing import ClassVar

from torch import Tensor

from lit_coiba.functional.ground_truth import suppressor_share
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.localisation.localisation import Localisation


class SuppressorShare(Localisation):
    """Share of a map's positive attribution that lies on a suppressor.

    Clark, Wilming and Haufe, XAI-TRIS, 2023 (arXiv 2306.12816): a suppressor is independent of the class, and yet of
    use to the model, which subtracts it from what disturbs the evidence. 0 is best; a uniform map scores the
    suppressor's share of the area. `SyntheticPatterns` has suppressors.

    Args:
        keep_samples: Whether every score is kept.

    Example:
        >>> import torch
        >>> SuppressorShare().score(torch.tensor([[[3.0, 1.0, -2.0]]]), torch.tensor([[[False, True, True]]]))
        tensor([0.2500])
    """

    card = MetricCard(
        "localisation",
        "of suppressors: Clark, Wilming and Haufe, XAI-TRIS, 2023 (arXiv 2306.12816); the share: ours",
        higher_is_better=False,
        range="0 to 1; a uniform map: the suppressor's share of the area",
        cost="none",
        undefined="there is no suppressor, or the map is not finite or has no positive attribution",
    )
    higher_is_better = card.higher_is_better
    needs: ClassVar[tuple[str, ...]] = ("maps", "suppressors")

    def measure(self, maps: Tensor, regions: Tensor) -> Tensor:
        """Shares ``(B,)``."""
        return suppressor_share(maps, regions)
