"""Metrics of maps: a score per sample and a mean, as torchmetrics."""

from lit_coiba.metrics.faithfulness.deletion import Deletion
from lit_coiba.metrics.faithfulness.insertion import Insertion
from lit_coiba.metrics.localisation.energy_pointing import EnergyPointing
from lit_coiba.metrics.localisation.pointing_game import PointingGame
from lit_coiba.metrics.localisation.relevance_rank import RelevanceRank
from lit_coiba.metrics.metric import Faithfulness, Localisation, Metric

__all__ = [
    "Deletion",
    "EnergyPointing",
    "Faithfulness",
    "Insertion",
    "Localisation",
    "Metric",
    "PointingGame",
    "RelevanceRank",
]
