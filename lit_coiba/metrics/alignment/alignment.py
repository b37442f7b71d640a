"""The family of metrics that compare a map with where people say the evidence is."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.functional import precise, resize_map
from lit_coiba.functional.importance import smooth_importance
from lit_coiba.metrics.maps import checked_maps, constant, not_finite
from lit_coiba.metrics.metric import Metric


class Alignment(Metric):
    """Does a map lie where people look?

    Args:
        smooth: Whether people's maps are smoothed first, as in Fel et al., 2022 (arXiv 2211.04533).
        keep_samples: Whether every score is kept.
    """

    needs: ClassVar[tuple[str, ...]] = ("maps", "importances")

    def __init__(self, smooth: bool = True, keep_samples: bool = False) -> None:
        super().__init__(keep_samples)
        self.smooth = smooth

    def score(self, maps: Tensor, importances: Tensor) -> Tensor:
        """Score of each sample.

        Args:
            maps: Maps ``(B, h, w)``, at any resolution.
            importances: Where people say the evidence is ``(B, H, W)``, 0 or more; NaN = unknown.

        Returns:
            ``(B,)``; NaN where people's map is unknown or the same everywhere, or a map is not finite.

        Raises:
            InputError: Shapes that do not fit, or importances that are no numbers.
        """
        importances = checked_importances(importances)
        maps = checked_maps(maps, len(importances))
        importances = importances.to(maps.device)
        shown = smooth_importance(importances) if self.smooth else importances
        resized = resize_map(maps, (shown.shape[-2], shown.shape[-1]))
        resized = torch.where(constant(maps)[:, None, None], maps[:, :1, :1], resized)  # which rounding would rank
        scores = self.measure(resized, shown)
        return scores.masked_fill(uninformative(importances) | not_finite(maps), torch.nan)

    @abstractmethod
    def measure(self, maps: Tensor, importances: Tensor) -> Tensor:
        """Scores ``(B,)`` of maps ``(B, H, W)`` at the resolution of people's maps."""


def checked_importances(importances: Tensor) -> Tensor:
    """People's maps ``(B, H, W)``, detached, in single precision at least.

    Raises:
        InputError: They are not.
    """
    if importances.dim() != 3 or not importances.is_floating_point():
        raise InputError(
            f"importances are {importances.dtype} of shape {tuple(importances.shape)}: give maps (B, H, W) of"
            " floating-point numbers, NaN where unknown"
        )
    return precise(importances.detach())


def uninformative(importances: Tensor) -> Tensor:
    """Which of people's maps ``(B, H, W)`` are unknown, or the same everywhere, ``(B,)``."""
    return not_finite(importances) | constant(importances)
