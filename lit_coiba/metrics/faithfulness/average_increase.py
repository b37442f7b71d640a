"""Average increase: how often a class becomes more probable where only the map shows."""

from __future__ import annotations

from torch import Tensor

from lit_coiba.functional import probability_increase
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.faithfulness.masked_image import MaskedImage


class AverageIncrease(MaskedImage):
    """Average increase: 100 where the class is more probable for the image times its map than for the image, else 0.

    Chattopadhay et al., Grad-CAM++, 2018 (arXiv 1710.11063), section 4.1. Higher is better.

    Arguments and what `score` takes: see `MaskedImage`.

    Example:
        >>> import torch
        >>> images, maps = torch.tensor([[[[2.0, 1.0]]]]), torch.tensor([[[0.0, 1.0]]])
        >>> first = lambda images: torch.stack([images[:, 0, 0, 0], -images[:, 0, 0, 1]], 1)
        >>> AverageIncrease().score(first, images, 0, maps)
        tensor([0.])
    """

    card = MetricCard(
        "faithfulness",
        "Chattopadhay, Sarkar, Howlader and Balasubramanian, 2018 (arXiv 1710.11063)",
        higher_is_better=True,
        range="0 or 100 percent",
        cost="2 forwards, shared by average drop, increase and gain",
        undefined="the map is constant or not finite, or a probability is not finite",
    )
    higher_is_better = card.higher_is_better

    def compare(self, clean: Tensor, masked: Tensor) -> Tensor:
        """See `MaskedImage.compare`."""
        return probability_increase(clean[:, 0], masked[:, 0])
