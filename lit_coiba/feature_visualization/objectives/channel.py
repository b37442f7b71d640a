"""A channel of a layer, wherever it is active, as what an image is optimized for."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_coiba.feature_visualization.objectives.objective import Objective, Score, check_channel
from lit_coiba.feature_visualization.seen import Seen


class Channel(Objective):
    """The mean of a channel over space.

    Args:
        layer: Layer on a grid, by its name in the model.
        channel: Number of the channel.

    Example:
        >>> Channel("layer3", 5).name
        'layer3, channel 5'
    """

    def __init__(self, layer: str, channel: int) -> None:
        self.layer, self.channel = layer, channel

    @property
    def layers(self) -> tuple[str, ...]:
        """The layer."""
        return (self.layer,)

    @property
    def name(self) -> str:
        """Layer and channel."""
        return f"{self.layer}, channel {self.channel}"

    def bind(self, model: Any, start: Seen) -> Score:
        """See `Objective.bind`."""
        check_channel(model, self.layer, self.channel)

        def score(seen: Seen, rows: slice) -> Tensor:
            return seen.activation(self.layer)[rows, self.channel].mean((-2, -1))

        return score
