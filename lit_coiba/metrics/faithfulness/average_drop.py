"""Average drop: how much of its probability a class loses where the map shows little."""

from __future__ import annotations

from torch import Tensor

from lit_coiba.functional import probability_drop
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.faithfulness.masked_image import MaskedImage


class AverageDrop(MaskedImage):
    """Average drop: share of the class's probability that is lost when the image is multiplied by its map, in percent.

    Chattopadhay et al., Grad-CAM++, 2018 (arXiv 1710.11063), section 4.1. Lower is better. It rewards maps that show
    the whole image. grad-cam's `DropInConfidence` does not divide by the probability, and is another number.

    Arguments and what `score` takes: see `MaskedImage`.

    Example:
        >>> import torch
        >>> images, maps = torch.tensor([[[[2.0, 1.0]]]]), torch.tensor([[[0.0, 1.0]]])
        >>> first = lambda images: torch.stack([images[:, 0, 0, 0], -images[:, 0, 0, 1]], 1)
        >>> AverageDrop().score(first, images, 0, maps)
        tensor([23.2544])
    """

    card = MetricCard(
        "faithfulness",
        "Chattopadhay, Sarkar, Howlader and Balasubramanian, 2018 (arXiv 1710.11063)",
        higher_is_better=False,
        range="0 to 100 percent",
        cost="2 forwards, shared by average drop, increase and gain",
        undefined="the map is constant or not finite, or the probability is 0",
    )
    higher_is_better = card.higher_is_better

    def compare(self, clean: Tensor, masked: Tensor) -> Tensor:
        """See `MaskedImage.compare`."""
        return probability_drop(clean[:, 0], masked[:, 0])
