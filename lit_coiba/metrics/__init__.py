"""Metrics of maps: a score per sample and a mean, as torchmetrics."""

from lit_coiba.metrics.deletion import Deletion
from lit_coiba.metrics.energy_pointing import EnergyPointing
from lit_coiba.metrics.insertion import Insertion
from lit_coiba.metrics.metric import Faithfulness, Localisation, Metric
from lit_coiba.metrics.pointing_game import PointingGame
from lit_coiba.metrics.relevance_rank import RelevanceRank

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
