"""Max-sensitivity: how far a map moves, at most, when the image moves a little."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lit_coiba.core.errors import check_choice, check_count, check_positive
from lit_coiba.functional import keyed_noise, uniform
from lit_coiba.functional.stability import map_change
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.explaining import Explained, ExplainingMetric
from lit_coiba.perturbation.baselines import Space
from lit_coiba.perturbation.moved import in_space


class MaxSensitivity(ExplainingMetric):
    """Largest distance between the map of an image and the maps of images close to it, relative to the map's norm.

    Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", 2019 (arXiv 1901.09392), with Captum's settings:
    every value of the image moves by a uniform number from -radius to radius, and the largest of ten L2 distances
    counts. 0 is best; a constant map reaches it too, so never read it alone. Quantus draws 200 times from [-0.2, 0.2]:
    its numbers are others.

    Args:
        radius: Largest change of a value (Captum).
        draws: Number of draws (Captum).
        relative: Whether a distance is divided by the norm of the clean map, where that is not 0.
        space: Where the radius is measured: normalized model ``input`` (Captum), or ``pixels`` in [0, 1].
        seed: Seed of the draws, which depend on it and the sample's id alone.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: An argument that is not among its choices or out of range.
    """

    card = MetricCard(
        "robustness",
        "Yeh et al., 2019 (arXiv 1901.09392)",
        higher_is_better=False,
        range="0 to infinity, norm of the map",
        cost="11 explanations, and 1 forward",
        undefined="a map is not finite",
    )
    higher_is_better = card.higher_is_better

    def __init__(
        self,
        radius: float = 0.02,
        draws: int = 10,
        relative: bool = True,
        space: Space = "input",
        seed: int = 0,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(keep_samples)
        check_positive(radius=radius)
        check_count(draws=draws)
        self.radius, self.draws, self.relative = radius, draws, relative
        self.space = check_choice(space, Space, "space")
        self.seed = seed

    def measure(self, explained: Explained, maps: Tensor, ids: Sequence[str]) -> Tensor:
        """Largest distances ``(B,)``."""
        found = torch.zeros(len(maps), dtype=torch.float64, device=maps.device)
        for draw in range(self.draws):
            moved = explained.maps(self.moved(explained, ids, draw))
            found = torch.maximum(found, map_change(explained.clean, moved, self.relative).to(found))
        return found

    def moved(self, explained: Explained, ids: Sequence[str], draw: int) -> Tensor:
        """The images of one draw ``(B, C, H, W)``."""
        normal = keyed_noise(self.seed, ids, f"max-sensitivity {draw}", explained.images.shape[1:])
        change = self.radius * (2 * uniform(normal.to(explained.images)) - 1)
        return explained.images + in_space(change, self.space, explained.model, explained.images)
