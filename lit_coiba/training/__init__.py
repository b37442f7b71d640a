"""LightningModules that learn, and what they learn by."""

from typing import TYPE_CHECKING

from lit_coiba.core.lazy import lazily

if TYPE_CHECKING:  # for type checkers and editors; what runs is found by `lazily`
    from lit_coiba.training.classifier import Classifier as Classifier
    from lit_coiba.training.coiba_readout import CoIBAReadout as CoIBAReadout
    from lit_coiba.training.harmonized_classifier import HarmonizedClassifier as HarmonizedClassifier
    from lit_coiba.training.iba_readout import IBAReadout as IBAReadout
    from lit_coiba.training.lipschitz_classifier import LipschitzClassifier as LipschitzClassifier
    from lit_coiba.training.ranking_readout import RankingReadout as RankingReadout

__getattr__, __dir__ = lazily(
    __name__,
    {},
    folders=("lit_coiba.training",),
    base="lightning.LightningModule",
)
