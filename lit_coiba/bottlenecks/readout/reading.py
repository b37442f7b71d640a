"""What a readout sees of a model: one clean forward, and one backward to the first bottleneck layer if asked for.

The gradient is read in full at the first bottleneck layer, and by three numbers a position at all of them: without the
others a readout does not know what their noise would cost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.bottlenecks.first_order import first_order
from lit_coiba.bottlenecks.prior import NoisePrior
from lit_coiba.bottlenecks.readout.directions import target_directions
from lit_coiba.core.grid import Grid
from lit_coiba.core.network import Network, State
from lit_coiba.core.targets import Resolved
from lit_coiba.functional import resize_map

Resolve = Callable[[Tensor], Resolved]  # from logits (B, K) to a row for each image


class CleanForward(NamedTuple):
    """A clean forward of some images above the first bottleneck layer."""

    state: State
    out: Tensor  # (B, K) logits
    activations: list[Tensor]  # of the read layers, detached
    within: list[Tensor]  # of the bottleneck layers, in the graph of `out`; none where no gradient is read


class Reading(NamedTuple):
    """What is known of some images when their ratios are read."""

    features: list[Tensor]  # (B, positions, C) each
    directions: Tensor  # (B, D), of length 1
    squared: Tensor  # (B, positions): mean over channels of the squared standardized activation of the first layer


class Reader:
    """Reads features of some layers on the grid of the first, and the gradient of the target's score.

    Args:
        model: The model, frozen.
        layers: Layers that are read, the first of which is the first bottleneck layer.
        prior: Noise of the bottleneck layers.
        gradient: Whether the gradient of the score with respect to them is read too.
    """

    def __init__(self, model: Network, layers: Sequence[str], prior: NoisePrior, gradient: bool) -> None:
        self.model, self.prior, self.gradient = model, prior, gradient
        self.split = model.split(list(layers))
        self.first = self.split.grids[0]
        inside = prior.settings.layers if gradient else ()
        self._whole = model.split(list(dict.fromkeys([*layers, *inside]))) if gradient else self.split
        numbers = {layer: number for number, layer in enumerate(self._whole.layers)}
        self._read, self._inside = ([numbers[name] for name in names] for names in (self.split.layers, inside))

    @property
    def channels(self) -> list[int]:
        """Channels of each feature."""
        own = [grid.channels for grid in self.split.grids]
        return [*own, self.first.channels, self.first.channels, 3 * len(self._inside)] if self.gradient else own

    @property
    def normalized(self) -> list[bool]:
        """Whether each feature is to go through a layer norm: the gradient has a scale of its own."""
        return [True] * len(self.split.grids) + [False] * 3 * self.gradient

    def forward(self, images: Tensor) -> CleanForward:
        """The clean forward of images ``(B, 3, H, W)``."""
        state, found = self._whole.lower(images), []

        def look(index: int, activation: Tensor) -> Tensor:
            found.append(activation if index or not self.gradient else activation.detach().requires_grad_(True))
            return found[-1].clone()  # what was found stays as it is, whatever the network writes into

        with torch.set_grad_enabled(self.gradient):
            out = self._whole.upper(state, look)
        return CleanForward(state, out, [found[n].detach() for n in self._read], [found[n] for n in self._inside])

    def read(self, clean: CleanForward, targets: Resolved) -> Reading:
        """What is known of the images for targets, a row for each image.

        Raises:
            InputError: The score is no differentiable function of logits.
        """
        directions = target_directions(self.model, clean.out, targets)
        features = [on_grid(act, grid, self.first) for act, grid in zip(clean.activations, self.split.grids)]
        standardized = self.prior.standardise(0, clean.activations[0])
        if clean.within:
            slopes = torch.autograd.grad(targets.score(clean.out).sum(), clean.within)
            slope = slopes[0].to(standardized.dtype)
            size = slope.square().flatten(1).mean(1).sqrt().clamp_min(torch.finfo(slope.dtype).tiny)
            slope = slope / size.reshape(-1, *[1] * (slope.dim() - 1))
            features += [positions(part, self.first) for part in (slope, slope * standardized)]
            features.append(self._changes(clean.within, slopes))
        return Reading(features, directions, self.first.over_channels(standardized.square()))

    def _changes(self, activations: Sequence[Tensor], slopes: Sequence[Tensor]) -> Tensor:
        """What each bottleneck layer would cost, to first order, ``(B, positions, 3 L)``."""
        found = []
        for number, (place, activation, slope) in enumerate(zip(self._inside, activations, slopes)):
            grid = self._whole.grids[place]
            changes = first_order(self.prior, number, activation.detach(), slope, grid).standardized()
            tokens = Grid(grid.layer, "tokens", grid.height, grid.width, changes.shape[-1], grid.num_prefix_tokens)
            found.append(on_grid(changes, tokens, self.first))
        return torch.cat(found, -1)


def on_grid(activation: Tensor, own: Grid, first: Grid) -> Tensor:
    """An activation as features of each position of the first layer, ``(B, positions, C)``.

    One of another grid is resized bilinearly; its prefix tokens are those of the first layer, or there are none.
    """
    size = first.height, first.width
    if (own.height, own.width) == size:
        return positions(activation, own)
    places = own.to_spatial(activation)
    return resize_map(places.flatten(0, 1), size).unflatten(0, places.shape[:2]).flatten(2).transpose(1, 2)


def positions(activation: Tensor, grid: Grid) -> Tensor:
    """An activation as values of its positions, prefix tokens first, ``(B, positions, C)``."""
    if grid.layout == "tokens":
        return activation
    return grid.to_spatial(activation).flatten(2).transpose(1, 2)
