"""Average stability: how far a map moves on average when the image moves a little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from lit_coiba.core.errors import check_choice, check_count, check_positive
from lit_coiba.functional import keyed_noise, uniform
from lit_coiba.functional.stability import map_change
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.explaining import Explained, ExplainingMetric
from lit_coiba.perturbation.baselines import Space
from lit_coiba.perturbation.moved import in_space

Sides = Literal["one", "both"]


class AverageStability(ExplainingMetric):
    """Mean L2 distance between the map of an image and the maps of images close to it.

    Bhatt et al., "Evaluating and Aggregating Feature-based Model Explanations", 2020 (arXiv 2005.00631), with the
    settings of Xplique: 20 draws, each value of the image moved by a uniform number from 0 to `width`. That range is
    one-sided, so images become brighter as well; ``sides="both"`` draws from -width to width. Distances are not divided
    by anything, so only maps on one scale can be compared, unless `relative` is set. 0 is best, and reached by a
    constant map.

    Args:
        width: Largest change of a value (Xplique).
        sides: Range of the changes: ``one`` = from 0 to `width` (Xplique), ``both`` = from -width to width.
        draws: Number of draws (Xplique).
        relative: Whether a distance is divided by the norm of the clean map, where that is not 0.
        space: Where the width is measured: normalized model ``input`` (Xplique), or ``pixels`` in [0, 1].
        seed: Seed of the draws, which depend on it and the sample's id alone.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: An argument that is not among its choices or out of range.
    """

    card = MetricCard(
        "robustness",
        "Bhatt et al., 2020 (arXiv 2005.00631), as Xplique has it",
        higher_is_better=False,
        range="0 to infinity, in units of the map",
        cost="21 explanations, and 1 forward",
        undefined="a map is not finite",
    )
    higher_is_better = card.higher_is_better

    def __init__(
        self,
        width: float = 0.1,
        sides: Sides = "one",
        draws: int = 20,
        relative: bool = False,
        space: Space = "input",
        seed: int = 0,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(keep_samples)
        check_positive(width=width)
        check_count(draws=draws)
        self.width, self.draws, self.relative = width, draws, relative
        self.sides = check_choice(sides, Sides, "sides")
        self.space = check_choice(space, Space, "space")
        self.seed = seed

    def measure(self, explained: Explained, maps: Tensor, ids: Sequence[str]) -> Tensor:
        """Mean distances ``(B,)``."""
        total = torch.zeros(len(maps), dtype=torch.float64, device=maps.device)
        for draw in range(self.draws):
            moved = explained.maps(self.moved(explained, ids, draw))
            total = total + map_change(explained.clean, moved, self.relative).to(total)
        return total / self.draws

    def moved(self, explained: Explained, ids: Sequence[str], draw: int) -> Tensor:
        """The images of one draw ``(B, C, H, W)``."""
        normal = keyed_noise(self.seed, ids, f"average stability {draw}", explained.images.shape[1:])
        share = uniform(normal.to(explained.images))
        change = self.width * (share if self.sides == "one" else 2 * share - 1)
        return explained.images + in_space(change, self.space, explained.model, explained.images)
