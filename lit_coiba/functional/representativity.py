"""Do models of the same kind, trained on different folds, explain alike (MeGe), and otherwise where one errs (ReCo)?

Fel, Vigouroux, Cadene and Serre, "How Good is your Explanation?", WACV 2022 (arXiv 2009.04521).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.functional.noise import noise
from lit_coiba.functional.similarity import Distance, map_distance

_AT_ONCE = 256  # maps that are compared at once, which bounds memory


class FoldPairs(NamedTuple):
    """Pairs of models on a sample that one of the two was trained on and the other was not."""

    sample: Tensor  # (P,) int64: number of the sample
    models: Tensor  # (P, 2) int64: the two models, the smaller number first
    distance: Tensor  # (P,) fp64: distance of their maps; NaN = undefined
    agree: Tensor  # (P,) bool: both are right, else one of them is

    @property
    def equal(self) -> Tensor:
        """S_eq: the defined distances where both models are right."""
        return self.distance[self.agree & ~self.distance.isnan()]

    @property
    def unequal(self) -> Tensor:
        """S_ne: the defined distances where one of the models is right."""
        return self.distance[~self.agree & ~self.distance.isnan()]


def fold_pairs(maps: Tensor, correct: Tensor, fold: Tensor, distance: Distance = "sqrt") -> FoldPairs:
    """For models i < j and each sample of fold i or j: how far apart their maps are, and whether both are right.

    A sample of another fold was seen by both, and is in no pair; where neither model is right there is no pair either.

    Args:
        maps: Maps of the true class by each of k models ``(k, N, h, w)``; model i was trained without fold i.
        correct: Whether each model predicts the true class, ``(k, N)`` bool.
        fold: Fold of each sample ``(N,)``, 0 to k - 1.
        distance: Distance of two maps; see `map_distance`.

    Example:
        >>> maps = torch.rand(2, 3, 4, 4)
        >>> pairs = fold_pairs(maps, torch.tensor([[True, True, False], [True, False, False]]), torch.tensor([0, 1, 1]))
        >>> pairs.sample, pairs.agree
        (tensor([0, 1]), tensor([ True, False]))
    """
    kept = [_pair(maps, correct, fold, i, j, distance) for j in range(len(maps)) for i in range(j)]
    if not kept:
        nothing = torch.zeros(0, dtype=torch.int64, device=maps.device)
        return FoldPairs(nothing, nothing.view(0, 2), nothing.double(), nothing.bool())
    return FoldPairs(*(torch.cat(parts) for parts in zip(*kept)))


def mege(equal: Tensor) -> Tensor:
    """MeGe, ``1 / (1 + mean)`` of the distances where both models are right; in [1/2, 1], NaN where there are none.

    Example:
        >>> mege(torch.tensor([0.0, 1.0]))
        tensor(0.6667)
    """
    return 1 / (1 + equal.mean())


def reco(equal: Tensor, unequal: Tensor) -> Tensor:
    """ReCo: how well one threshold separates the two kinds of distances; in [0, 1], NaN where there are none of a kind.

    The largest ``TPR + TNR - 1`` over all thresholds, TPR the share of `equal` up to the threshold and TNR that of
    `unequal` above it: the one-sided Kolmogorov-Smirnov statistic.

    Args:
        equal: Distances where both models are right.
        unequal: Distances where one of the models is right.

    Example:
        >>> reco(torch.tensor([0.1, 0.2]), torch.tensor([0.8, 0.9]))
        tensor(1., dtype=torch.float64)
    """
    if not len(equal) or not len(unequal):
        return torch.full((), torch.nan, dtype=torch.float64)
    a, b = equal.double().sort().values, unequal.double().sort().values
    thresholds = torch.cat([a, b])
    right = torch.searchsorted(a, thresholds, right=True) / torch.tensor(float(len(a)), dtype=torch.float64)
    wrong = torch.searchsorted(b, thresholds, right=True) / torch.tensor(float(len(b)), dtype=torch.float64)
    return (right - wrong).max().clamp_min(0)


def folds_of(samples: int, folds: int, seed: int | None = 0) -> Tensor:
    """Fold of each sample ``(N,)``, of sizes that differ by one at most.

    Args:
        samples: N.
        folds: k.
        seed: Seed of the shuffle; None = contiguous folds.

    Example:
        >>> folds_of(5, 2, None)
        tensor([0, 0, 0, 1, 1])
    """
    blocks = torch.arange(samples) * folds // samples
    if seed is None:
        return blocks
    found = torch.empty_like(blocks)
    found[noise(seed, folds, 0, (samples,)).argsort(stable=True)] = blocks
    return found


def _pair(maps: Tensor, correct: Tensor, fold: Tensor, i: int, j: int, distance: Distance) -> Sequence[Tensor]:
    """The pairs of models i and j, as the fields of `FoldPairs`."""
    one_has_seen_it = (fold == i) | (fold == j)
    (sample,) = (one_has_seen_it & (correct[i] | correct[j])).nonzero(as_tuple=True)
    models = torch.tensor([i, j], device=sample.device).expand(len(sample), 2)
    parts = [map_distance(maps[i, some], maps[j, some], distance).double() for some in sample.split(_AT_ONCE)]
    found = torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64, device=sample.device)
    return sample, models, found, correct[i, sample] & correct[j, sample]
