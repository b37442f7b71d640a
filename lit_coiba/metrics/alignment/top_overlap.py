"""Top overlap: are the pixels that a map and people call most important the same?"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.functional.overlap import top_overlap
from lit_coiba.metrics.alignment.alignment import Alignment
from lit_coiba.metrics.card import MetricCard

Measured = Literal["dice", "iou"]


class TopOverlap(Alignment):
    """Overlap of the highest tenth of a map's pixels with the highest tenth of people's, smoothed.

    Fel et al., "Harmonizing the object recognition strategies of deep neural networks with humans", 2022 (arXiv
    2211.04533), in the public code. 1 is best; Dice's coefficient of a random map is `share` on average. Of equal
    pixels, not all of which are among the highest, each counts in part.

    Args:
        measured: ``dice`` = twice the pixels in common over those of both; ``iou`` = intersection over union.
        share: Share of all pixels that counts as highest.
        smooth: Whether people's maps are smoothed first.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: There is no such measure, or the share is not above 0 and at most 1.

    Example:
        >>> maps, people = torch.tensor([[[0.9, 0.2], [0.3, 0.1]]]), torch.tensor([[[4.0, 3.0], [2.0, 1.0]]])
        >>> TopOverlap(share=0.5, smooth=False).score(maps, people)
        tensor([0.5000])
    """

    card = MetricCard(
        "alignment",
        "Fel et al., 2022 (arXiv 2211.04533)",
        higher_is_better=True,
        range="0 to 1",
        cost="none",
        undefined="people's map is unknown or the same everywhere, or the map is not finite",
    )
    higher_is_better = card.higher_is_better

    def __init__(
        self, measured: Measured = "dice", share: float = 0.1, smooth: bool = True, keep_samples: bool = False
    ) -> None:
        super().__init__(smooth, keep_samples)
        if not 0 < share <= 1:
            raise InputError(f"share is {share}: give a share of the pixels, above 0 and at most 1")
        self.measured = check_choice(measured, Measured, "measured")
        self.share = share

    def measure(self, maps: Tensor, importances: Tensor) -> Tensor:
        """Overlaps ``(B,)``."""
        spoilt = ~(maps.isfinite() & importances.isfinite()).flatten(1).all(1)[:, None, None]  # which cannot be sorted
        dice, union = top_overlap(maps.masked_fill(spoilt, 0), importances.masked_fill(spoilt, 0), self.share)
        return torch.where(spoilt[:, 0, 0], torch.nan, dice if self.measured == "dice" else union)
