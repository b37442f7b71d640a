"""Metrics of maps: a score per sample and a mean, as torchmetrics."""

from typing import TYPE_CHECKING

from lit_coiba.core.lazy import lazily

if TYPE_CHECKING:  # for type checkers and editors; what runs is found by `lazily`
    from lit_coiba.metrics.faithfulness.deletion import Deletion as Deletion
    from lit_coiba.metrics.faithfulness.insertion import Insertion as Insertion
    from lit_coiba.metrics.localisation.energy_pointing import EnergyPointing as EnergyPointing
    from lit_coiba.metrics.localisation.pointing_game import PointingGame as PointingGame
    from lit_coiba.metrics.localisation.relevance_rank import RelevanceRank as RelevanceRank
    from lit_coiba.metrics.metric import Faithfulness as Faithfulness
    from lit_coiba.metrics.metric import Localisation as Localisation
    from lit_coiba.metrics.metric import Metric as Metric

__getattr__, __dir__ = lazily(
    __name__,
    dict.fromkeys(("Faithfulness", "Localisation", "Metric"), "lit_coiba.metrics.metric"),
    folders=("lit_coiba.metrics",),
    base="lit_coiba.metrics.metric.Metric",
)
