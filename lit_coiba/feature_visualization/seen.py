"""What a model makes of images, each part computed once and only if it is asked for."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from functools import cached_property
from typing import Any

from torch import Tensor

from lit_coiba.core.errors import InputError


class Seen:
    """Output, activations and features of one batch, with gradients with respect to it.

    Args:
        model: The model, frozen.
        images: Model input ``(R, 3, H, W)``.
        layers: Names of the layers whose activations are kept.
    """

    def __init__(self, model: Any, images: Tensor, layers: Collection[str] = ()) -> None:
        self._model, self._images, self._layers = model, images, tuple(layers)
        self._kept: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return len(self._images)

    @cached_property
    def output(self) -> Any:
        """What the model returns: logits ``(R, K)``, or its own structure."""
        with ExitStack() as stack:
            for layer in self._layers:
                module = self._model.model.get_submodule(layer)
                stack.callback(module.register_forward_hook(self._keeping(layer)).remove)
            return self._model(self._images)

    @cached_property
    def feature_maps(self) -> Tensor:
        """The model's features on their grid, ``(R, C, h, w)``."""
        found: Tensor = self._model.features(self._images)
        return found

    @cached_property
    def features(self) -> Tensor:
        """The model's features averaged over space, ``(R, C)``."""
        return self.feature_maps.mean((-2, -1))

    def activation(self, layer: str) -> Tensor:
        """The activation of a layer, ``(R, C, h, w)``, prefix tokens left out.

        Raises:
            InputError: The model did not run it.
        """
        _ = self.output
        if layer not in self._kept:
            raise InputError(f"the model does not run its layer {layer}: choose another one")
        spatial: Tensor = self._model.grid(layer).to_spatial(self._kept[layer])
        return spatial

    def _keeping(self, layer: str) -> Any:
        def keep(module: Any, inputs: Any, output: Tensor) -> None:
            self._kept[layer] = output

        return keep
