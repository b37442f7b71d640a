"""The family of metrics that compare a map with where the object is."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.functional import resize_map
from lit_coiba.metrics.maps import checked_maps, not_finite
from lit_coiba.metrics.metric import Metric


class Localisation(Metric):
    """Does a map lie on the object?"""

    needs: ClassVar[tuple[str, ...]] = ("maps", "regions")

    def score(self, maps: Tensor, regions: Tensor) -> Tensor:
        """Score of each sample.

        Args:
            maps: Maps ``(B, h, w)``, at any resolution.
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

    @abstractmethod
    def measure(self, maps: Tensor, regions: Tensor) -> Tensor:
        """Scores ``(B,)`` of maps ``(B, H, W)`` at the resolution of the regions."""
