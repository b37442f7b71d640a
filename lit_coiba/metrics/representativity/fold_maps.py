"""What the metrics share that compare models of the same kind."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
import torchmetrics
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from lit_coiba.core.arguments import checks_arguments
from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.functional.representativity import FoldPairs, fold_pairs
from lit_coiba.functional.similarity import Distance


@checks_arguments
class FoldMaps(torchmetrics.Metric):
    """Distances between the maps of k models, each trained without one fold of a dataset.

    Args:
        distance: Distance of two maps: ``sqrt`` = sqrt(1 - abs(rho)) of Spearman's rho (Xplique), ``linear`` = 1 -
            abs(rho), ``l1``, ``l2`` or ``ssim``; see `functional.similarity.map_distance`.
        **kwargs: Arguments of ``torchmetrics.Metric``.

    Raises:
        InputError: There is no such distance.
    """

    full_state_update = False
    is_differentiable = False

    equal: list[Tensor]  # distances where both models are right
    unequal: list[Tensor]  # distances where one of them is
    undefined: Tensor  # () int64: pairs without a distance, which are left out

    def __init__(self, distance: Distance = "sqrt", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.distance: Distance = check_choice(distance, Distance, "distance")
        self.add_state("equal", [], dist_reduce_fx="cat")
        self.add_state("unequal", [], dist_reduce_fx="cat")
        self.add_state("undefined", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, maps: Tensor, correct: Tensor, fold: Tensor) -> None:
        """Add samples.

        Args:
            maps: Maps of the true class by each model ``(k, N, h, w)``; model i was trained without fold i.
            correct: Whether each model predicts the true class, ``(k, N)`` bool.
            fold: Fold of each sample ``(N,)``, 0 to k - 1.

        Raises:
            InputError: Shapes that do not fit.
        """
        self.add(fold_pairs(*checked_folds(maps, correct, fold), self.distance))

    def add(self, pairs: FoldPairs) -> None:
        """Add pairs whose distances are known."""
        self.equal.append(pairs.equal)
        self.unequal.append(pairs.unequal)
        self.undefined = self.undefined + pairs.distance.isnan().sum().to(self.undefined)

    @abstractmethod
    def compute(self) -> Tensor:
        """The score of all samples, ``()``."""

    def distances(self) -> tuple[Tensor, Tensor]:
        """S_eq and S_ne: distances where both models are right, and where one of them is; fp64."""
        return _joined(self.equal), _joined(self.unequal)


def checked_folds(maps: Tensor, correct: Tensor, fold: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Maps, answers and folds that fit each other.

    Raises:
        InputError: They do not; the message says how.
    """
    if maps.dim() != 4 or len(maps) < 2:
        raise InputError(f"maps have shape {tuple(maps.shape)}: give (k, N, h, w), the maps of two or more models")
    if correct.shape != maps.shape[:2] or correct.dtype != torch.bool:
        raise InputError(
            f"correct is {correct.dtype} of shape {tuple(correct.shape)}: give bool {tuple(maps.shape[:2])}, whether"
            " each model is right on each sample"
        )
    whole = not (fold.is_floating_point() or fold.dtype == torch.bool)
    if fold.shape != maps.shape[1:2] or not whole or bool(((fold < 0) | (fold >= len(maps))).any()):
        raise InputError(
            f"fold is {fold.dtype} of shape {tuple(fold.shape)}: give one number from 0 to {len(maps) - 1} for each of"
            f" the {maps.shape[1]} samples"
        )
    return maps, correct, fold


def _joined(parts: Any) -> Tensor:
    return dim_zero_cat(parts) if len(parts) else torch.empty(0, dtype=torch.float64)
