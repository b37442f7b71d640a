"""Robustness-S: how far the pixels that a map calls important have to move until the prediction changes."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from lit_coiba.core.behavior import behavior_of, refuse_one_logit
from lit_coiba.core.errors import InputError, check_choice, check_count, check_positive
from lit_coiba.core.frozen import frozen
from lit_coiba.core.targets import Targets, select_output
from lit_coiba.functional import ranks, resize_map
from lit_coiba.metrics.batch import Model
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.faithfulness.removal import Removal, clean_key
from lit_coiba.metrics.maps import maps_of, not_finite
from lit_coiba.metrics.metric import Metric
from lit_coiba.metrics.shared import Shared
from lit_coiba.perturbation.baselines import BaselineImages

Norm = Literal["l2", "linf"]
_OVERSHOOT = 2.5  # of all steps together, in radii: the usual choice (Madry et al., 2018)


class RobustnessS(Metric):
    """Smallest radius in which an attack on the most important pixels alone changes the predicted class.

    Hsieh et al., "Evaluations and Methods for Explanation through Robustness Analysis", 2021 (arXiv 2006.00442): if the
    pixels S matter, little has to be changed in them. Lower is better. The attack is projected gradient descent on the
    margin of the predicted class, from the image itself; the radius is found by bisection, so it is an upper bound of
    the true one. Values may leave the range of pixels.

    Args:
        share: Share of the pixels that may move, those with the largest values of the map first; at least one.
        norm: Norm of the change over all channels and pixels: ``l2`` (paper), or ``linf``, the largest change.
        max_radius: Largest radius that is tried, in normalized model input (ours).
        steps: Steps of the attack (ours).
        bisections: Halvings of the range of radii (ours).
        keep_samples: Whether every score is kept.

    Raises:
        InputError: An argument that is not among its choices or out of range.
    """

    card = MetricCard(
        "robustness",
        "Hsieh et al., 2021 (arXiv 2006.00442)",
        higher_is_better=False,
        range="0 to max_radius, norm of the change in model input",
        cost="144 forwards, 130 backwards",
        undefined="a map is not finite, or no radius up to max_radius changes the prediction",
    )
    higher_is_better = card.higher_is_better
    needs: ClassVar[tuple[str, ...]] = ("model", "images", "targets", "maps", "shared")

    def __init__(
        self,
        share: float = 0.1,
        norm: Norm = "l2",
        max_radius: float = 100.0,
        steps: int = 10,
        bisections: int = 12,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(keep_samples)
        check_positive(share=share, max_radius=max_radius)
        check_count(steps=steps, bisections=bisections)
        if share > 1:
            raise InputError(f"share is {share}: give a share of the pixels, above 0 and up to 1")
        self.share, self.max_radius, self.steps, self.bisections = share, max_radius, steps, bisections
        self.norm = check_choice(norm, Norm, "norm")

    def score(
        self, model: Model, images: Tensor, targets: Targets, maps: Tensor, shared: Shared | None = None
    ) -> Tensor:
        """Radius of each sample ``(B,)``; see `Faithfulness.score` and `RemovalMetric.score`.

        The prediction that has to change is the class predicted on the clean image, whatever class a map explains.

        Raises:
            InputError: What is explained is no class, or the model has a single output or no gradients.
        """
        if (behavior := behavior_of(model)) is not None:
            behavior.refuse_without_gradients("RobustnessS")
        maps, images = maps_of(maps, images), images.detach()
        places = ranks(resize_map(maps, (images.shape[-2], images.shape[-1])))
        movable = (places < max(1, round(self.share * places[0].numel()))).unsqueeze(1)
        shared = Shared() if shared is None else shared
        removal = Removal(model, images, targets, BaselineImages("zero"), shared=shared)
        removal.resolved.classes("RobustnessS")
        with frozen(model):
            logits = select_output(shared.get(clean_key(model), lambda: model(images.clone())))
            refuse_one_logit(logits.shape[-1], "no other class can be predicted: its probability is")
            found = self._smallest(model, images, logits.argmax(-1), movable)
        return found.masked_fill(not_finite(maps), torch.nan)

    def forwards(self, size: tuple[int, int]) -> int:
        """See `Metric.forwards`."""
        return 1 + (self.bisections + 1) * (self.steps + 1)

    def _smallest(self, model: Model, images: Tensor, classes: Tensor, movable: Tensor) -> Tensor:
        """The smallest radius that is known to do ``(B,)``; NaN where the largest does not."""
        high = torch.full((len(images),), self.max_radius, dtype=torch.float64, device=images.device)
        low, possible = torch.zeros_like(high), self._changes(model, images, classes, movable, high)
        for _ in range(self.bisections):
            middle = (low + high) / 2
            enough = self._changes(model, images, classes, movable, middle)
            high, low = torch.where(enough, middle, high), torch.where(enough, low, middle)
        return high.masked_fill(~possible, torch.nan)

    def _changes(self, model: Model, images: Tensor, classes: Tensor, movable: Tensor, radius: Tensor) -> Tensor:
        """Whether the attack within `radius` ``(B,)`` changes the class at any of its steps, ``(B,)`` bool."""
        limit = radius.to(images).view(-1, 1, 1, 1)
        change, found = torch.zeros_like(images), torch.zeros(len(images), dtype=torch.bool, device=images.device)
        for _ in range(self.steps):
            moved = (images + change).requires_grad_(True)
            logits = select_output(model(moved))
            found = found | (logits.argmax(-1) != classes)
            (slope,) = torch.autograd.grad(_margin(logits, classes).sum(), moved)
            change = self._stepped(change, slope * movable, limit)
        with torch.no_grad():
            return found | (select_output(model(images + change)).argmax(-1) != classes)

    def _stepped(self, change: Tensor, slope: Tensor, limit: Tensor) -> Tensor:
        """One step along the slope, brought back into the ball."""
        width = _OVERSHOOT * limit / self.steps
        if self.norm == "linf":
            return (change + width * slope.sign()).clamp(-limit, limit)
        moved = change + width * slope / _norm(slope).clamp_min(torch.finfo(slope.dtype).tiny)
        return moved * (limit / _norm(moved).clamp_min(torch.finfo(slope.dtype).tiny)).clamp_max(1)


def _margin(logits: Tensor, classes: Tensor) -> Tensor:
    """By how much the strongest other class is ahead of `classes`, ``(B,)``."""
    own = logits.gather(1, classes[:, None])[:, 0]
    return logits.scatter(1, classes[:, None], -torch.inf).amax(1) - own


def _norm(values: Tensor) -> Tensor:
    return values.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
