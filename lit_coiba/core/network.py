"""What methods may ask of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from lit_coiba.core.grid import Grid
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.functional import Places


class State(NamedTuple):
    """The state of a `SplitNetwork` at its first layer: what the upper part needs, computed once per image."""

    stream: Tensor  # input of the first link that is run again
    activation: Tensor  # clean activation of the first layer

    def rows(self, rows: slice) -> State:
        """This state for some of the images."""
        return self._each(lambda tensor: tensor[rows])

    def repeat(self, copies: int) -> State:
        """This state for `copies` copies of every image, ``(copies * B, ...)``, copy-major: index ``n * B + b``."""
        return self._each(lambda tensor: tensor.repeat(copies, *[1] * (tensor.dim() - 1)))

    def _each(self, change: Callable[[Tensor], Tensor]) -> State:
        stream = change(self.stream)
        return State(stream, stream if self.activation is self.stream else change(self.activation))


Edit = Callable[[int, Tensor], Tensor]


class SplitNetwork(Protocol):
    """A network split at its first bottleneck layer: ``upper(lower(x), identity)`` equals ``model(x)``."""

    layers: list[str]  # targets, in the order in which the network runs them
    grids: list[Grid]  # one per layer

    def lower(self, images: Tensor) -> State:
        """The clean stream and the first layer's activation for images ``(B, 3, H, W)``, without gradients."""

    def activation(self, images: Tensor) -> Tensor:
        """The first layer's activation for images ``(B, 3, H, W)``, with gradients with respect to them."""

    def upper(self, state: State, edit: Edit) -> Tensor:
        """Logits ``(B, K)`` with ``edit(i, activation)`` in place of the activation of the i-th layer."""

    def cast_weights(self) -> AbstractContextManager[None]:
        """Inside, weights are in the precision of autocast already, so that many forwards do not cast them again."""


class Network(Protocol):
    """What a method may ask of a model: a `Backbone`, or a trained classifier, which has the same interface."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How image files become input of this model."""

    @property
    def num_classes(self) -> int:
        """K, the number of logits."""

    def __call__(self, images: Tensor) -> Tensor:
        """Logits ``(B, K)``."""

    def features(self, images: Tensor) -> Tensor:
        """The grid before pooling, ``(B, C, h, w)``."""

    def places(self, layer: str = "") -> Places | None:
        """The pixels that the cells of a layer's grid, or of `features`, cover; None = equal parts of the image."""

    def layers(self) -> list[str]:
        """Names of the modules that methods can use as layers."""

    def grid(self, layer: str) -> Grid:
        """How the activations of `layer` lie in space."""

    def split(self, layers: list[str]) -> SplitNetwork:
        """The network from the first of `layers` on."""

    def default_layers(self) -> list[str]:
        """Default bottleneck layers."""

    def candidate_layers(self) -> list[str]:
        """Targets that the leak test may choose from; the default layers are its last entries."""

    def cam_layer(self) -> str:
        """The layer of class activation maps: the last one whose places each affect the logits."""

    def digest(self) -> str:
        """SHA-256 of architecture and weights."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """The weights."""
