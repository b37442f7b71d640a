"""A direction among the channels of a layer, such as a concept, as what an image is optimized for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, check_not_negative
from lit_coiba.feature_visualization.objectives.objective import Objective, Score
from lit_coiba.feature_visualization.seen import Seen

LEAST_COSINE = 0.1  # what the cosine is clamped to, as in the published code


class Direction(Objective):
    """How far the activation of a layer, averaged over space, goes in a direction: dot product times cosine^power.

    The power weighs against images that go far in every direction: 0 = the dot product, 1 = what MACO's authors draw
    concepts of CRAFT with, 2 = the lucid family's.

    Args:
        layer: Layer on a grid, by its name in the model.
        vector: The direction, a number for each channel.
        cosine_power: Power of the cosine.
        label: Name of the direction, for pictures.

    Raises:
        InputError: The vector is zero, or the power is negative.

    Example:
        >>> Direction("layer3", [1.0, -1.0], label="stripes").name
        'stripes'
    """

    def __init__(self, layer: str, vector: list[float], cosine_power: float = 2.0, label: str = "") -> None:
        check_not_negative(cosine_power=cosine_power)
        check_vector(vector)
        self.layer, self.vector, self.cosine_power, self.label = layer, list(vector), cosine_power, label

    @property
    def layers(self) -> tuple[str, ...]:
        """The layer."""
        return (self.layer,)

    @property
    def name(self) -> str:
        """The label, or the layer."""
        return self.label or f"a direction in {self.layer}"

    def bind(self, model: Any, start: Seen) -> Score:
        """See `Objective.bind`."""
        channels = model.grid(self.layer).channels
        if len(self.vector) != channels:
            raise InputError(
                f"vector has {len(self.vector)} numbers, and {self.layer} has {channels} channels: give one each"
            )
        vector = torch.tensor(self.vector, dtype=torch.float64)

        def score(seen: Seen, rows: slice) -> Tensor:
            return along(seen.activation(self.layer)[rows].mean((-2, -1)), vector, self.cosine_power)

        return score


def along(values: Tensor, vector: Tensor, power: float) -> Tensor:
    """How far ``(R, C)`` go along ``(C,)``: dot product times power of the cosine, which is `LEAST_COSINE` at least.

    Example:
        >>> along(torch.tensor([[3.0, 4.0]]), torch.tensor([1.0, 0.0]), 2.0)
        tensor([1.0800])
    """
    direction = vector.to(values)
    dot = values @ direction
    if not power:
        return dot
    cosine = dot / (values.norm(dim=-1) * direction.norm()).clamp_min(1e-12)
    return dot * cosine.clamp_min(LEAST_COSINE) ** power


def check_vector(vector: list[float]) -> None:
    """Refuse a direction that is none.

    Raises:
        InputError: All numbers are 0.
    """
    if not any(vector):
        raise InputError("vector is zero everywhere, which is no direction: give one with a number that is not 0")
