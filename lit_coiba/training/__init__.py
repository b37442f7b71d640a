"""LightningModules that learn, and what they learn by."""

from typing import TYPE_CHECKING

from lit_coiba.core.lazy import lazily

if TYPE_CHECKING:  # for type checkers and editors; what runs is found by `lazily`
    from lit_coiba.training.classifier import Classifier as Classifier
    from lit_coiba.training.harmonized_classifier import HarmonizedClassifier as HarmonizedClassifier

__getattr__, __dir__ = lazily(
    __name__,
    {"Classifier": "lit_coiba.training.classifier"},
    folders=("lit_coiba.training",),
    base="lit_coiba.training.classifier.Classifier",
)
