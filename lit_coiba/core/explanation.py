"""What methods and interpretable heads say."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from lit_coiba.functional import Places


class Explanation(NamedTuple):
    """What a method says about a batch of images."""

    maps: Tensor  # (B, h, w) float32 (float64 for a float64 model), at the method's native grid
    extras: dict[str, Tensor]  # name -> (B, ...): bits, cross_entropy, ...; may be empty
    places: Places | None = None  # the pixels that the cells cover; None = equal parts of the image


class HeadExplanation(NamedTuple):
    """What an interpretable head says about its own decision on a batch of images; units are channels or parts."""

    contributions: Tensor  # (B, U) signed; the sum over units, plus the class bias if any, is the target's logit
    maps: Tensor  # (B, h, w): where the evidence for the target lies
    units: Tensor  # (B, top) int64: the units of largest absolute contribution, descending
    unit_maps: Tensor  # (B, top, h, w): where each of them is
