"""What an image can be optimized for; a class is found by the name of its file."""

from typing import TYPE_CHECKING

from lit_coiba.core.lazy import lazily

if TYPE_CHECKING:  # for type checkers and editors; what runs is found by `lazily`
    from lit_coiba.feature_visualization.objectives.channel import Channel as Channel
    from lit_coiba.feature_visualization.objectives.concept_objective import ConceptObjective as ConceptObjective
    from lit_coiba.feature_visualization.objectives.direction import Direction as Direction
    from lit_coiba.feature_visualization.objectives.embedding import Embedding as Embedding
    from lit_coiba.feature_visualization.objectives.neuron import Neuron as Neuron
    from lit_coiba.feature_visualization.objectives.objective import Objective as Objective
    from lit_coiba.feature_visualization.objectives.prototype_channel import PrototypeChannel as PrototypeChannel
    from lit_coiba.feature_visualization.objectives.target_score import TargetScore as TargetScore
    from lit_coiba.feature_visualization.objectives.weighted_sum import WeightedSum as WeightedSum

__getattr__, __dir__ = lazily(
    __name__,
    {"Objective": "lit_coiba.feature_visualization.objectives.objective"},
    folders=("lit_coiba.feature_visualization.objectives",),
    base="lit_coiba.feature_visualization.objectives.objective.Objective",
)
