"""ReCo: do explanations differ where one of two models is wrong?"""

from __future__ import annotations

from torch import Tensor

from lit_coiba.functional.representativity import reco
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.representativity.fold_maps import FoldMaps


class ReCo(FoldMaps):
    """Relative consistency of explanations: how well the distance of two maps tells whether both models are right.

    Fel, Vigouroux, Cadene and Serre, "How Good is your Explanation?", WACV 2022 (arXiv 2009.04521); see `MeGe` for the
    models. The best sum of the two shares that a threshold puts on the right side, less 1: the one-sided
    Kolmogorov-Smirnov statistic, over all thresholds and with equal values on one side (Xplique scans some of them, and
    counts equal values on neither side). Few pairs of one kind make it noisy and too high: tell their numbers,
    `distances`. Arguments, states and what `update` takes: see `FoldMaps`.
    """

    card = MetricCard(
        "representativity",
        "Fel et al., WACV 2022 (arXiv 2009.04521)",
        higher_is_better=True,
        range="0 to 1",
        cost="the training of k models, then k explanations",
        undefined="there is no pair of models of which both are right, or none of which one is",
    )
    higher_is_better = card.higher_is_better

    def compute(self) -> Tensor:
        """ReCo, fp64 ``()``; NaN where there are no pairs of one kind."""
        return reco(*self.distances())
