"""Feature visualization: images that show what a class, a channel or a direction of a model responds to."""

from typing import TYPE_CHECKING

from lit_coiba.core.lazy import lazily

if TYPE_CHECKING:  # for type checkers and editors; what runs is found by `lazily`
    from lit_coiba.feature_visualization.fourier_baseline import FourierBaseline as FourierBaseline
    from lit_coiba.feature_visualization.maco import MACO as MACO
    from lit_coiba.feature_visualization.objectives.channel import Channel as Channel
    from lit_coiba.feature_visualization.objectives.concept_objective import ConceptObjective as ConceptObjective
    from lit_coiba.feature_visualization.objectives.direction import Direction as Direction
    from lit_coiba.feature_visualization.objectives.embedding import Embedding as Embedding
    from lit_coiba.feature_visualization.objectives.neuron import Neuron as Neuron
    from lit_coiba.feature_visualization.objectives.objective import Objective as Objective
    from lit_coiba.feature_visualization.objectives.prototype_channel import PrototypeChannel as PrototypeChannel
    from lit_coiba.feature_visualization.objectives.target_score import TargetScore as TargetScore
    from lit_coiba.feature_visualization.objectives.weighted_sum import WeightedSum as WeightedSum
    from lit_coiba.feature_visualization.spectrum import MagnitudeSpectrum as MagnitudeSpectrum
    from lit_coiba.feature_visualization.visualization_item import VisualizationItem as VisualizationItem
    from lit_coiba.feature_visualization.visualization_run import VisualizationRun as VisualizationRun
    from lit_coiba.feature_visualization.visualizations import Visualizations as Visualizations
    from lit_coiba.feature_visualization.visualizer import FeatureVisualizer as FeatureVisualizer

_OBJECTIVES = "lit_coiba.feature_visualization.objectives"

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Channel": _OBJECTIVES,
        "ConceptObjective": _OBJECTIVES,
        "Direction": _OBJECTIVES,
        "Embedding": _OBJECTIVES,
        "FeatureVisualizer": "lit_coiba.feature_visualization.visualizer",
        "FourierBaseline": "lit_coiba.feature_visualization.fourier_baseline",
        "MACO": "lit_coiba.feature_visualization.maco",
        "MagnitudeSpectrum": "lit_coiba.feature_visualization.spectrum",
        "Neuron": _OBJECTIVES,
        "Objective": _OBJECTIVES,
        "PrototypeChannel": _OBJECTIVES,
        "TargetScore": _OBJECTIVES,
        "VisualizationItem": "lit_coiba.feature_visualization.visualization_item",
        "VisualizationRun": "lit_coiba.feature_visualization.visualization_run",
        "Visualizations": "lit_coiba.feature_visualization.visualizations",
        "WeightedSum": _OBJECTIVES,
    },
)
