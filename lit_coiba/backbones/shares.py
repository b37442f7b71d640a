"""What of the difference between two images' logits goes round layers, measured by putting one's activation in both."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from lit_coiba.backbones.forwards import output_hook
from lit_coiba.backbones.looking import looking, noise_pair
from lit_coiba.core.grid import Grid


class Shares:
    """Forwards of two images of noise in which the second has activations of the first.

    Args:
        model: The model.
        size: Height and width of its images in pixels.
    """

    def __init__(self, model: nn.Module, size: tuple[int, int]) -> None:
        self._model, self._size = model, size
        self._clean: Tensor | None = None
        self._known: dict[tuple[str, ...], float] = {}

    def round(self, layers: Sequence[str]) -> float:
        """Share of the logits' difference that is left when `layers` are those of the first image; 0 for a cut."""
        known = tuple(layers)
        if known not in self._known:
            self._known[known] = self._share(self._logits({layer: _first for layer in layers}), self._logits({}))
        return self._known[known]

    def places_round(self, layer: Grid, above: Grid) -> float:
        """Share of what the places of `above`, an earlier layer, say that goes round the places of `layer`.

        Prefix tokens of both stay those of the second image.
        """
        some, everything = (self._logits({grid.layer: _of_places(grid)}) for grid in (layer, above))
        clean = self._logits({})
        scale = float((clean[1] - everything[1]).abs().max())
        left = float((some[1] - everything[1]).abs().max())
        return left / scale if scale and left > self._rounding(clean) * scale else 0.0

    def _share(self, logits: Tensor, clean: Tensor) -> float:
        scale = float((clean[0] - clean[1]).abs().max())
        left = float((logits[0] - logits[1]).abs().max())
        return left / scale if scale and left > self._rounding(clean) * scale else 0.0

    def _rounding(self, clean: Tensor) -> float:
        scale = float((clean[0] - clean[1]).abs().max())
        return 1e-3 + 4 * torch.finfo(clean.dtype).eps * float(clean.abs().max()) / max(scale, 1e-30)

    def _logits(self, changes: dict[str, Any]) -> Tensor:
        if not changes and self._clean is not None:
            return self._clean
        with looking(self._model), ExitStack() as stack:
            for name, change in changes.items():
                module = self._model.get_submodule(name)
                stack.callback(module.register_forward_hook(output_hook(change)).remove)
            logits: Tensor = self._model(noise_pair(self._model, self._size))
        if not changes:
            self._clean = logits
        return logits


def _first(activation: Tensor) -> Tensor:
    return activation[:1].expand_as(activation).clone()


def _of_places(grid: Grid) -> Any:
    return lambda activation: grid.with_spatial(activation, _first(grid.to_spatial(activation)))
