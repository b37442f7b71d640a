"""What an image is optimized for: the contract of every objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from torch import Tensor

from lit_coiba.core.arguments import checks_arguments
from lit_coiba.core.class_identity import kept_arguments
from lit_coiba.core.errors import InputError
from lit_coiba.feature_visualization.seen import Seen

Score = Callable[[Seen, slice], Tensor]  # of some rows of what a model saw, a score each: larger is better


class Objective(ABC):
    """What one image is optimized for. Objectives of a batch may be of different kinds and at different layers.

    A concrete one keeps the arguments of its constructor as attributes of their names.
    """

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers whose activations are needed."""
        return ()

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called in pictures."""

    @abstractmethod
    def bind(self, model: Any, start: Seen) -> Score:
        """The score of this objective for one model, with everything that has to be chosen chosen now.

        Args:
            model: The model, frozen.
            start: What the model makes of the image that the optimization begins with, one row.

        Raises:
            InputError: The model has no such class, layer or channel.
        """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        checks_arguments(cls)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments of this instance."""
        return kept_arguments(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.arguments().items())})"


def check_channel(model: Any, layer: str, channel: int) -> None:
    """Refuse a layer without a grid, or a channel that it does not have.

    Raises:
        InputError: Naming it.
    """
    channels = model.grid(layer).channels
    if not 0 <= channel < channels:
        raise InputError(
            f"channel is {channel}, and the layer {layer} has the channels 0 to {channels - 1}: choose one"
        )
