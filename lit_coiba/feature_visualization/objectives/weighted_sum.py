"""Several objectives of one image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.feature_visualization.objectives.objective import Objective, Score
from lit_coiba.feature_visualization.seen import Seen


class WeightedSum(Objective):
    """The weighted sum of several objectives; a weight below 0 takes what it is of out of the image.

    Args:
        objectives: The objectives.
        weights: Weight of each; None = 1.

    Raises:
        InputError: There are none, or another number of weights.

    Example:
        >>> from lit_coiba.feature_visualization.objectives.channel import Channel
        >>> WeightedSum([Channel("layer3", 5), Channel("layer4", 7)], [1.0, -0.5]).name
        'layer3, channel 5 - 0.5 layer4, channel 7'
    """

    def __init__(self, objectives: Sequence[Objective], weights: list[float] | None = None) -> None:
        self.objectives, self.weights = list(objectives), weights
        if not self.objectives or not all(isinstance(one, Objective) for one in self.objectives):
            raise InputError(
                "objectives has no objective, or something else: give a list such as [Channel('layer3', 5)]"
            )
        self._weights = [1.0] * len(self.objectives) if weights is None else list(weights)
        if len(self._weights) != len(self.objectives):
            raise InputError(
                f"weights has {len(self._weights)} numbers for {len(self.objectives)} objectives: give one each"
            )

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers of all of them."""
        return tuple(dict.fromkeys(layer for one in self.objectives for layer in one.layers))

    @property
    def name(self) -> str:
        """The names of all of them, with their weights."""
        terms = [
            f"{'-' if weight < 0 else '+'} {'' if abs(weight) == 1 else f'{abs(weight):g} '}{one.name}"
            for one, weight in zip(self.objectives, self._weights)
        ]
        return " ".join(terms).removeprefix("+ ")

    def bind(self, model: Any, start: Seen) -> Score:
        """See `Objective.bind`."""
        scores = [one.bind(model, start) for one in self.objectives]

        def score(seen: Seen, rows: slice) -> Tensor:
            terms = [weight * one(seen, rows) for one, weight in zip(scores, self._weights)]
            return sum(terms[1:], terms[0])

        return score
