"""Feature visualization: images that show what a class, a channel or a direction of a model responds to."""

from typing import TYPE_CHECKING

from lit_coiba.core.lazy import lazily

if TYPE_CHECKING:  # for type checkers and editors; what runs is found by `lazily`
    from lit_coiba.feature_visualization.fourier_baseline import FourierBaseline as FourierBaseline
    from lit_coiba.feature_visualization.maco import MACO as MACO
    from lit_coiba.feature_visualization.objectives.channel import Channel as Channel
    from lit_coiba.feature_visualization.objectives.direction import Direction as Direction
    from lit_coiba.feature_visualization.objectives.embedding import Embedding as Embedding
    from lit_coiba.feature_visualization.objectives.neuron import Neuron as Neuron
    from lit_coiba.feature_visualization.objectives.objective import Objective as Objective
    from lit_coiba.feature_visualization.objectives.target_score import TargetScore as TargetScore
    from lit_coiba.feature_visualization.objectives.weighted_sum import WeightedSum as WeightedSum
    from lit_coiba.feature_visualization.spectrum import MagnitudeSpectrum as MagnitudeSpectrum
    from lit_coiba.feature_visualization.visualizations import Visualizations as Visualizations

_OBJECTIVES = "lit_coiba.feature_visualization.objectives"

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Channel": _OBJECTIVES,
        "Direction": _OBJECTIVES,
        "Embedding": _OBJECTIVES,
        "FourierBaseline": "lit_coiba.feature_visualization.fourier_baseline",
        "MACO": "lit_coiba.feature_visualization.maco",
        "MagnitudeSpectrum": "lit_coiba.feature_visualization.spectrum",
        "Neuron": _OBJECTIVES,
        "Objective": _OBJECTIVES,
        "TargetScore": _OBJECTIVES,
        "Visualizations": "lit_coiba.feature_visualization.visualizations",
        "WeightedSum": _OBJECTIVES,
    },
)
