"""Local perturbation analysis: does a visible change where a map points lower the score?"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, check_choice, check_not_negative
from lit_coiba.core.frozen import frozen
from lit_coiba.core.targets import Targets
from lit_coiba.functional import resize_map
from lit_coiba.functional.similarity import stretched
from lit_coiba.metrics.batch import Model
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.faithfulness.removal import OUTPUT, Output, Removal
from lit_coiba.metrics.maps import maps_of, not_finite
from lit_coiba.metrics.metric import Metric
from lit_coiba.metrics.shared import Shared
from lit_coiba.perturbation.baselines import BaselineImages
from lit_coiba.perturbation.image_changes import STRENGTHS, Change, changed

Place = Literal["focused", "dual"]


class LocalPerturbation(Metric):
    """Relative drop of the score when the picture changes visibly where a map is high, or where it is low.

    The local perturbation analysis of CaBRNet (Xu-Darme et al., 2024, arXiv 2409.16693): one change of the picture,
    weighted at each pixel by the map, with its range stretched to [0, 1] (``focused``), or by what is missing to 1
    (``dual``). A map that shows what counts has a large focused and a small dual drop; say which of the two a table
    has. A change with strength 0 leaves the score as it is.

    Args:
        change: What happens to the picture: ``brightness``, ``contrast``, ``saturation``, ``hue``, ``blur`` or
            ``sinusoid``; see `perturbation.image_changes.changed`.
        strength: How much; None = CaBRNet's: 0.3, 0.3 (it has 0.1 and 0.2 too), 0.3, 0.2, 2 pixels, 7 pixels.
        weights: Where: ``focused`` = on the map, ``dual`` = on the rest.
        output: Score of a class; a target that has a score of its own keeps it.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: An argument that is not among its choices or out of range.
    """

    card = MetricCard(
        "robustness",
        "CaBRNet, Xu-Darme et al., 2024 (arXiv 2409.16693)",
        higher_is_better=True,
        range="at most 1 as a probability; 0 = no drop",
        cost="2 forwards",
        undefined="a map is not finite or constant, or the score of the image is 0",
    )
    higher_is_better = card.higher_is_better
    needs: ClassVar[tuple[str, ...]] = ("model", "images", "targets", "maps", "shared")

    def __init__(
        self,
        change: Change = "brightness",
        strength: float | None = None,
        weights: Place = "focused",
        output: Output = OUTPUT,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(keep_samples)
        self.change: Change = check_choice(change, Change, "change")
        self.strength = STRENGTHS[self.change] if strength is None else strength
        check_not_negative(strength=self.strength)
        most = {"blur": torch.inf, "sinusoid": torch.inf, "hue": 0.5}.get(self.change, 1.0)
        if self.strength > most:
            raise InputError(f"strength is {strength}: {change} takes at most {most:g}")
        self.weights = check_choice(weights, Place, "weights")
        self.output = check_choice(output, Output, "output")

    def score(
        self, model: Model, images: Tensor, targets: Targets, maps: Tensor, shared: Shared | None = None
    ) -> Tensor:
        """Relative drop of each sample ``(B,)``; see `Faithfulness.score` and `RemovalMetric.score`.

        Raises:
            InputError: The model does not say how its input was normalized.
        """
        maps = maps_of(maps, images)
        moved = self.moved(model, images.detach(), maps)
        removal = Removal(model, images, targets, BaselineImages("zero"), self.output, shared=shared)
        with frozen(model), torch.no_grad():
            after = removal.resolved.score(model(moved))
        drop = (removal.clean - after) / removal.clean.abs()
        return drop.masked_fill(not_finite(maps) | (removal.clean == 0), torch.nan)

    def forwards(self, size: tuple[int, int]) -> int:
        """See `Metric.forwards`."""
        return 2

    def moved(self, model: Model, images: Tensor, maps: Tensor) -> Tensor:
        """The images with the change where it is to be ``(B, C, H, W)``; NaN where the map is constant."""
        preprocessing = getattr(model, "preprocessing", None)
        if preprocessing is None:
            raise InputError(
                "a change of pixels needs the normalization of the model's input, and this model does not say it: give"
                " a Backbone"
            )
        pixels = preprocessing.denormalize(images).clamp(0, 1)
        change = (changed(pixels, self.change, self.strength) - pixels) / images.new_tensor(preprocessing.std).view(
            -1, 1, 1
        )
        focused = stretched(resize_map(maps, (images.shape[-2], images.shape[-1])))
        return images + (focused if self.weights == "focused" else 1 - focused).unsqueeze(1).to(images) * change
