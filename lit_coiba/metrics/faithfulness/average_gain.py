"""Average gain: how much of what is missing to certainty a class wins where only the map shows."""

from __future__ import annotations

from torch import Tensor

from lit_coiba.functional import probability_gain
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.faithfulness.masked_image import MaskedImage


class AverageGain(MaskedImage):
    """Average gain: share of what is missing to 1 that is won when the image is multiplied by its map, in percent.

    Zhang et al., Opti-CAM, 2023 (arXiv 2301.07002). Higher is better; the counterpart of average drop.

    Arguments and what `score` takes: see `MaskedImage`.

    Example:
        >>> import torch
        >>> images, maps = torch.tensor([[[[2.0, 1.0]]]]), torch.tensor([[[0.0, 1.0]]])
        >>> first = lambda images: torch.stack([images[:, 0, 0, 0], -images[:, 0, 0, 1]], 1)
        >>> AverageGain().score(first, images, 0, maps)
        tensor([0.])
    """

    card = MetricCard(
        "faithfulness",
        "Zhang, Torres, Sicre, Avrithis and Ayache, 2023 (arXiv 2301.07002)",
        higher_is_better=True,
        range="0 to 100 percent",
        cost="2 forwards, shared by average drop, increase and gain",
        undefined="the map is constant or not finite, or the probability is 1",
    )
    higher_is_better = card.higher_is_better

    def compare(self, clean: Tensor, masked: Tensor) -> Tensor:
        """See `MaskedImage.compare`."""
        return probability_gain(clean[:, 1], masked[:, 1])
