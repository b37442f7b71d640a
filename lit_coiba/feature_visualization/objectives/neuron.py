"""A channel of a layer at one place as what an image is optimized for."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.feature_visualization.objectives.objective import Objective, Score, check_channel
from lit_coiba.feature_visualization.seen import Seen


class Neuron(Objective):
    """The activation of a channel at one place.

    Args:
        layer: Layer on a grid, by its name in the model.
        channel: Number of the channel.
        row: Row of the place; None = the one in the middle.
        column: Column of the place; None = the one in the middle.

    Example:
        >>> Neuron("layer3", 5).name
        'layer3, channel 5 in the middle'
    """

    def __init__(self, layer: str, channel: int, row: int | None = None, column: int | None = None) -> None:
        self.layer, self.channel, self.row, self.column = layer, channel, row, column

    @property
    def layers(self) -> tuple[str, ...]:
        """The layer."""
        return (self.layer,)

    @property
    def name(self) -> str:
        """Layer, channel and place."""
        if self.row is None and self.column is None:
            return f"{self.layer}, channel {self.channel} in the middle"
        row, column = ("middle" if part is None else part for part in (self.row, self.column))
        return f"{self.layer}, channel {self.channel} at ({row}, {column})"

    def bind(self, model: Any, start: Seen) -> Score:
        """See `Objective.bind`."""
        check_channel(model, self.layer, self.channel)
        grid = model.grid(self.layer)
        row = grid.height // 2 if self.row is None else self.row
        column = grid.width // 2 if self.column is None else self.column
        if not (0 <= row < grid.height and 0 <= column < grid.width):
            raise InputError(
                f"the place ({row}, {column}) is not on the grid of {self.layer}, {grid.height} x {grid.width}: give a"
                " row and a column that are"
            )

        def score(seen: Seen, rows: slice) -> Tensor:
            return seen.activation(self.layer)[rows, self.channel, row, column]

        return score
