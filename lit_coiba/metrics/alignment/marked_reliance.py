"""Marked reliance: what does the model lose without what people marked, and without all the rest?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.core.targets import Resolved, Targets, select_output
from lit_coiba.functional.importance import smooth_importance
from lit_coiba.functional.reliance import Part, marked
from lit_coiba.metrics.alignment.alignment import checked_importances, uninformative
from lit_coiba.metrics.batch import Model
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.faithfulness.removal import Removal, Removed
from lit_coiba.metrics.faithfulness.removal_metric import RemovalMetric
from lit_coiba.metrics.maps import digest
from lit_coiba.metrics.shared import Shared
from lit_coiba.perturbation.baselines import Space

Measured = Literal["logit", "accuracy"]


class MarkedReliance(RemovalMetric):
    """Drop of the class's logit, or of the accuracy, when what people marked is occluded, or all the rest is.

    Ours, to be read beside every alignment: a model whose maps lie where people look, and that loses nothing when that
    place is occluded, is aligned without relying on it. It says something of the model and nothing of a map, so all
    rows of a table have the same value. A pixel is marked where people's smoothed map is at least half of its peak.
    Occlusion leaves the distribution of images, as wherever something is removed: compare parts and models, not
    numbers alone.

    The class is what is explained: for changes of the accuracy explain the labels. Accuracy is 1 where the class is the
    predicted one, else 0, so that a sample's drop is 1, 0 or -1.

    Args:
        part: What is occluded: ``marked`` = what people marked; ``rest`` = all the rest.
        measured: What drops: ``logit`` of the class, or ``accuracy``.
        share: Share of the peak of people's map from which on a pixel is marked, above 0 to 1.
        smooth: Whether people's maps are smoothed first.
        baseline: See `RemovalMetric`.
        space: See there.
        chunk: See there.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: An argument that is not among its choices or out of range.

    Example:
        >>> images, people = torch.tensor([[[[4.0, 1.0]]]]), torch.tensor([[[1.0, 0.0]]])
        >>> total = lambda images: images.sum((1, 2, 3)).unsqueeze(1)
        >>> MarkedReliance(smooth=False).score(total, images, None, people)
        tensor([4.])
        >>> MarkedReliance("rest", smooth=False).score(total, images, None, people)
        tensor([1.])
    """

    card = MetricCard(
        "alignment",
        "",
        higher_is_better=None,
        range="any, in logits; as accuracy -1 to 1",
        cost="1 forward, for all rows of a table together",
        undefined="people's map is unknown or the same everywhere, or the model's score is not finite",
    )
    higher_is_better = card.higher_is_better
    needs: ClassVar[tuple[str, ...]] = ("model", "images", "targets", "importances", "shared")
    serves_all_maps = True
    usual_output = "logit"

    def __init__(
        self,
        part: Part = "marked",
        measured: Measured = "logit",
        share: float = 0.5,
        smooth: bool = True,
        baseline: Removed | float = "zero",
        space: Space = "input",
        chunk: int | None = None,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(baseline, "logit", space, chunk, keep_samples)
        self.part = check_choice(part, Part, "part")
        self.measured = check_choice(measured, Measured, "measured")
        if not 0 < share <= 1:
            raise InputError(f"share is {share}: give a share of the peak, above 0 and at most 1")
        self.share, self.smooth = share, smooth

    def score(  # type: ignore[override]
        self, model: Model, images: Tensor, targets: Targets, importances: Tensor, shared: Shared | None = None
    ) -> Tensor:
        """Drop of each sample ``(B,)``; see `Faithfulness.score`.

        Args:
            model: See `Faithfulness.score`.
            images: See there.
            targets: See there.
            importances: Where people say the evidence is ``(B, H, W)``, 0 or more; NaN = unknown.
            shared: What other metrics have computed for the same model, images and targets.

        Returns:
            ``(B,)``; NaN where people's map is unknown or the same everywhere.

        Raises:
            InputError: Shapes that do not fit, or what is explained is no class.
        """
        importances = checked_importances(importances).to(images.device)
        if importances.shape != (len(images), *images.shape[-2:]):
            raise InputError(
                f"importances are of shape {tuple(importances.shape)}: give one map (H, W) for each of the"
                f" {len(images)} images of {images.shape[-2]} x {images.shape[-1]} pixels"
            )
        found = self.measure(self.removal(model, images, targets, shared), importances, ())
        return found.masked_fill(uninformative(importances), torch.nan)

    def measure(self, removal: Removal, maps: Tensor, ids: Sequence[str]) -> Tensor:
        """Drops ``(B,)`` for people's maps ``(B, H, W)``."""
        removal.resolved.classes(type(self).__name__)

        def changed() -> Tensor:
            gone = self._gone(removal, maps)
            return removal.scores(1, lambda rows, _: gone[rows], _read)[:, 0]

        key = ("without a part", self.part, self.share, self.smooth, digest(maps))
        drops = removal.clean_values(_read) - removal.shared(key, changed)  # (B, 2)
        return drops[:, 0 if self.measured == "logit" else 1]

    def forwards(self, size: tuple[int, int]) -> int:
        """See `Metric.forwards`."""
        return 1

    def _gone(self, removal: Removal, maps: Tensor) -> Tensor:
        """What is occluded of each image, on the canvas, bool ``(B, *canvas)``."""
        shown = smooth_importance(maps) if self.smooth else maps
        if removal.canvas != removal.size:
            shown = adaptive_avg_pool2d(shown.unsqueeze(1), removal.canvas).squeeze(1)
        chosen = marked(shown, self.share)
        return chosen if self.part == "marked" else ~chosen


def _read(resolved: Resolved, out: Any) -> Tensor:
    """The logit of each row's class, and whether it is the predicted one ``(R, 2)``."""
    logits = select_output(out, getattr(resolved, "output", None))
    right = logits.argmax(-1) == resolved.classes("MarkedReliance")
    scores = resolved.score(out)
    return torch.stack([scores, right.to(scores.dtype)], 1)
