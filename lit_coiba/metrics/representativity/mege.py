"""MeGe: do models that have and have not seen a sample explain it alike?"""

from __future__ import annotations

from torch import Tensor

from lit_coiba.functional.representativity import mege
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.representativity.fold_maps import FoldMaps


class MeGe(FoldMaps):
    """Mean generalizability of explanations: how near the maps of models are to each other where both are right.

    Fel, Vigouroux, Cadene and Serre, "How Good is your Explanation?", WACV 2022 (arXiv 2009.04521). k models are
    trained by one procedure, each without one fold; of two models, only samples of their two folds count, which one of
    them has seen. 1 / (1 + mean distance): independent random maps come to 1/2, not 0. Arguments, states and what
    `update` takes: see `FoldMaps`. ``lit-coiba representativity`` trains the models, and makes and compares the maps.

    Example:
        >>> import torch
        >>> maps = torch.rand(1, 4, 5, 5).expand(2, -1, -1, -1)
        >>> metric = MeGe()
        >>> metric.update(maps, torch.ones(2, 4, dtype=torch.bool), torch.tensor([0, 0, 1, 1]))
        >>> metric.compute()
        tensor(1., dtype=torch.float64)
    """

    card = MetricCard(
        "representativity",
        "Fel et al., WACV 2022 (arXiv 2009.04521)",
        higher_is_better=True,
        range="1/2 to 1; random maps 1/2",
        cost="the training of k models, then k explanations",
        undefined="no pair of models is right on a sample that one of them has not seen",
    )
    higher_is_better = card.higher_is_better

    def compute(self) -> Tensor:
        """MeGe, fp64 ``()``; NaN where no two models are right."""
        return mege(self.distances()[0])
