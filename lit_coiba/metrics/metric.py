"""What every metric of maps is: a score per sample, and the mean of the scores that are defined."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from inspect import signature
from typing import Any

import torch
import torchmetrics
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from lit_coiba.core.class_identity import class_identity
from lit_coiba.core.errors import InputError
from lit_coiba.functional import precise, resize_map

EXCLUDED_FROM_IDENTITY = ("chunk", "keep_samples")  # settings that decide no score
Model = Callable[[Tensor], Tensor]  # normalised images (B, C, H, W) -> logits (B, K)


class Metric(torchmetrics.Metric):
    """Mean of per-sample scores; NaN = undefined: left out of the mean and counted in `undefined`.

    States are sums and counts, reduced by sum: exact over uneven processes, and memory is flat. Constructor arguments
    are plain values, kept as attributes of their names.

    Args:
        keep_samples: Also keep every score (in single precision); see `samples`.
    """

    full_state_update = False
    is_differentiable = False

    total: Tensor  # () fp64: sum of the defined scores
    count: Tensor  # () int64: how many are defined
    undefined: Tensor  # () int64: how many are not
    kept: list[Tensor]  # scores in the order of the updates, where they are kept

    def __init__(self, keep_samples: bool = False) -> None:
        super().__init__()
        self.keep_samples = keep_samples
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("undefined", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        if keep_samples:
            self.add_state("kept", [], dist_reduce_fx="cat")

    @abstractmethod
    def score(self, *args: Any, **kwargs: Any) -> Tensor:
        """Score of each sample ``(B,)``; NaN = undefined."""

    def compute(self) -> Tensor:
        """Mean of the defined scores, fp64 ``()``; NaN where there are none."""
        return self.total / self.count

    def samples(self) -> Tensor:
        """The scores that this process has seen ``(n,)``, in the order of the updates.

        Raises:
            InputError: They were not kept.
        """
        if not self.keep_samples:
            raise InputError(f"{type(self).__name__} keeps no scores: make it with keep_samples=True")
        return dim_zero_cat(self.kept) if len(self.kept) else torch.empty(0, device=self.device)

    def check(self, size: tuple[int, int]) -> None:
        """Refuse images of `size`, height and width in pixels, that these settings cannot be used on.

        Raises:
            InputError: They cannot.
        """
        return

    def identity(self) -> dict[str, Any]:
        """What decides the scores: the class and `settings`, but for what bounds memory or is kept beside."""
        return {
            "class": class_identity(type(self)),
            **{k: v for k, v in self.settings().items() if k not in EXCLUDED_FROM_IDENTITY},
        }

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments of this instance, as plain values, with what a preset filled in."""
        return {name: getattr(self, name) for name in signature(type(self)).parameters}

    def _add(self, scores: Tensor) -> None:
        here = scores.detach().to(self.total.device)
        defined = ~here.isnan()
        self.total = self.total + here[defined].double().sum()
        self.count = self.count + defined.sum()
        self.undefined = self.undefined + (~defined).sum()
        if self.keep_samples:
            self.kept.append(here.to(self.dtype))


class Faithfulness(Metric):
    """Does the model depend on what a map calls important?"""

    @abstractmethod
    def score(self, model: Model, images: Tensor, targets: Tensor | None, maps: Tensor) -> Tensor:
        """Score of each sample.

        Args:
            model: Images to logits; a module runs in evaluation mode and is left as it was.
            images: ``(B, C, H, W)``, normalised model input.
            targets: Classes ``(B,)`` that the maps explain; None = predicted on the clean images.
            maps: ``(B, h, w)``, at any resolution.

        Returns:
            ``(B,)``; NaN where a map is not finite.

        Raises:
            InputError: Shapes that do not fit, or what the metric's settings ask for is not there.
        """

    def update(self, model: Model, images: Tensor, targets: Tensor | None, maps: Tensor) -> None:
        """Add a batch; the arguments are those of `score`."""
        self._add(self.score(model, images, targets, maps))


class Localisation(Metric):
    """Does a map lie on the object?"""

    def score(self, maps: Tensor, regions: Tensor) -> Tensor:
        """Score of each sample.

        Args:
            maps: ``(B, h, w)``, at any resolution.
            regions: Where the object is ``(B, H, W)``, bool; a mask or a union of boxes.

        Returns:
            ``(B,)``; NaN where a region is empty or a map is not finite.

        Raises:
            InputError: Shapes that do not fit, or regions that are not bool.
        """
        if regions.dim() != 3 or regions.dtype != torch.bool:
            raise InputError(
                f"regions are {regions.dtype} of shape {tuple(regions.shape)}: give bool masks of shape (B, H, W)"
            )
        maps = checked_maps(maps, len(regions))
        regions = regions.to(maps.device)
        scores = self.measure(resize_map(maps, (regions.shape[-2], regions.shape[-1])), regions)
        return scores.masked_fill(~regions.flatten(1).any(1) | not_finite(maps), torch.nan)

    def update(self, maps: Tensor, regions: Tensor) -> None:
        """Add a batch; the arguments are those of `score`."""
        self._add(self.score(maps, regions))

    @abstractmethod
    def measure(self, maps: Tensor, regions: Tensor) -> Tensor:
        """Scores ``(B,)`` of maps ``(B, H, W)`` at the resolution of the regions."""


def checked_maps(maps: Tensor, samples: int) -> Tensor:
    """Maps that are one per sample, detached, in single precision at least.

    Raises:
        InputError: They are not.
    """
    if maps.dim() != 3 or len(maps) != samples or not maps.is_floating_point():
        raise InputError(
            f"maps are {maps.dtype} of shape {tuple(maps.shape)}: give one map (h, w) of floating-point numbers for"
            f" each of the {samples} samples"
        )
    return precise(maps.detach())


def not_finite(maps: Tensor) -> Tensor:
    """Which maps ``(B, h, w)`` have a NaN or an infinity, ``(B,)``."""
    return ~maps.isfinite().flatten(1).all(1)
