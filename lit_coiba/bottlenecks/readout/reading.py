"""What a readout sees of a model: one clean forward, and one backward to the first bottleneck layer if asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

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
    out: Tensor  # (B, K) logits, of the graph of `leaf` if there is one
    activations: list[Tensor]  # of the read layers, detached
    leaf: Tensor | None  # the first layer's activation, which the gradient is taken of


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
        prior: Noise of the bottleneck layers, for the standard deviations of the first one.
        gradient: Whether the gradient of the score with respect to the first layer is read too.
    """

    def __init__(self, model: Network, layers: Sequence[str], prior: NoisePrior, gradient: bool) -> None:
        self.model, self.prior, self.gradient = model, prior, gradient
        self.split = model.split(list(layers))
        self.first = self.split.grids[0]

    @property
    def channels(self) -> list[int]:
        """Channels of each feature."""
        own = [grid.channels for grid in self.split.grids]
        return own + [self.first.channels] * 2 if self.gradient else own

    @property
    def normalized(self) -> list[bool]:
        """Whether each feature is to go through a layer norm: the gradient has a scale of its own."""
        return [True] * len(self.split.grids) + [False, False] * self.gradient

    def forward(self, images: Tensor) -> CleanForward:
        """The clean forward of images ``(B, 3, H, W)``."""
        state, found = self.split.lower(images), []
        leaf = state.activation.detach().requires_grad_(True) if self.gradient else None

        def look(index: int, activation: Tensor) -> Tensor:
            found.append(activation.detach())
            return activation if index or leaf is None else leaf

        with torch.set_grad_enabled(self.gradient):
            out = self.split.upper(state, look)
        return CleanForward(state, out, found, leaf)

    def read(self, clean: CleanForward, targets: Resolved) -> Reading:
        """What is known of the images for targets, a row for each image.

        Raises:
            InputError: The score is no differentiable function of logits.
        """
        directions = target_directions(self.model, clean.out, targets)
        features = [on_grid(act, grid, self.first) for act, grid in zip(clean.activations, self.split.grids)]
        standardized = self.prior.standardise(0, clean.activations[0])
        if clean.leaf is not None:
            (slope,) = torch.autograd.grad(targets.score(clean.out).sum(), clean.leaf)
            slope = slope.to(standardized.dtype)
            size = slope.square().flatten(1).mean(1).sqrt().clamp_min(torch.finfo(slope.dtype).tiny)
            slope = slope / size.reshape(-1, *[1] * (slope.dim() - 1))
            features += [on_grid(part, self.first, self.first) for part in (slope, slope * standardized)]
        return Reading(features, directions, self.first.over_channels(standardized.square()))


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
