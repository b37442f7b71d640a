"""One damping ratio per position, shared by several layers: the bottleneck of CoIBA.

Hong, Kim, Jeon and Lee, "Comprehensive Information Bottleneck for Unveiling Universal Attribution to Interpret Vision
Transformers", 2025 (arXiv 2507.04388).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.bottlenecks.fitting import Loss, fidelity_of_copies
from lit_coiba.bottlenecks.prior import NoisePrior
from lit_coiba.core.grid import Grid
from lit_coiba.core.network import SplitNetwork, State
from lit_coiba.core.targets import Resolved
from lit_coiba.functional import (
    BITS_PER_NAT,
    information,
    information_gradient,
    information_of_ratio,
    resize_ratio,
)


class PositionBottleneck:
    """A bottleneck at several layers, batched over images; positions are those of the first layer.

    Args:
        split: The network from the first layer on.
        state: State of the images below the first layer.
        targets: A row for each image.
        prior: Noise of the layers.
        beta: Weight of the information, which is a mean over positions and channels.
        all_layers: Whether the information is the mean over all layers, instead of that of the first one.
    """

    def __init__(
        self,
        split: SplitNetwork,
        state: State,
        targets: Resolved,
        prior: NoisePrior,
        beta: float,
        all_layers: bool = False,
    ) -> None:
        self.split = split
        self.state = state
        self.targets = targets
        self.prior = prior
        self.first = split.grids[0]
        self.squared = self.first.over_channels(prior.standardise(0, state.activation).square()).detach()
        self.weight = beta / (len(split.layers) if all_layers else 1)  # of each layer that counts
        self.all_layers = all_layers

    def start(self, alpha_init: float) -> Tensor:
        """First logits, ``(B, positions)``."""
        return torch.full_like(self.squared, alpha_init)

    def loss(self, alpha: Tensor, step: int, copies: slice, rows: slice) -> Loss:
        """See `Bottleneck.loss`; the information of later layers is found on the way through the network."""
        edit, count = _Edit(self, alpha, step, copies), copies.stop - copies.start
        out = self.split.upper(self.state.rows(rows).repeat(count), edit)
        fidelity = fidelity_of_copies(out, self.targets.take(rows), count)
        return Loss(fidelity + self.weight * edit.later_information(), fidelity)

    def information_gradient(self, alpha: Tensor) -> Tensor:
        """Gradient of the weighted information that passes the first layer, ``(B, positions)``."""
        return self.weight / self.first.positions * information_gradient(alpha, self.squared)

    def bits(self, alpha: Tensor) -> Tensor:
        """Bits that pass the first layer at each position, ``(B, positions)``."""
        return self.first.channels * BITS_PER_NAT * information(alpha, self.squared)


class _Edit:
    """What one step does to the layers of some copies: mix them with noise by the one ratio that all of them share."""

    def __init__(self, bottleneck: PositionBottleneck, alpha: Tensor, step: int, copies: slice) -> None:
        self.prior = bottleneck.prior
        self.grids = bottleneck.split.grids
        self.all_layers = bottleneck.all_layers
        self.alpha = alpha
        self.step = step
        self.copies = copies
        self.ratio = torch.sigmoid(alpha)
        self.later: list[Tensor] = []  # per later layer (r,): nats, mean over copies, positions and channels

    def __call__(self, index: int, activation: Tensor) -> Tensor:
        noised = self.prior.draw(self.step, index, activation)[self.copies]
        clean = activation.unflatten(0, (len(noised), -1)).to(noised.dtype)
        ratio = self._on_grid(self.ratio, self.grids[index])
        if self.all_layers and index > 0:
            self.later.append(self._information(index, activation, ratio))
        mixed = torch.lerp(noised.unsqueeze(1), clean, self.grids[index].spread(ratio))
        return mixed.flatten(0, 1).to(activation.dtype)

    def later_information(self) -> Tensor:
        """Information of all layers but the first, summed over layers, ``(r,)``; zeros where it does not count."""
        return torch.stack(self.later).sum(0) if self.later else self.alpha.new_zeros(len(self.alpha))

    def _information(self, index: int, activation: Tensor, ratio: Tensor) -> Tensor:
        grid = self.grids[index]
        squared = grid.over_channels(self.prior.standardise(index, activation).square())
        squared = squared.unflatten(0, (-1, len(self.alpha)))
        one_minus_ratio = self._on_grid(torch.sigmoid(-self.alpha), grid)
        exact = (grid.height, grid.width) == (self.grids[0].height, self.grids[0].width)
        nats = information(self.alpha, squared) if exact else information_of_ratio(ratio, one_minus_ratio, squared)
        return nats.mean((0, -1))

    def _on_grid(self, ratio: Tensor, grid: Grid) -> Tensor:
        first = self.grids[0]
        if (grid.height, grid.width) == (first.height, first.width):
            return ratio
        places = resize_ratio(first.to_map(ratio), (grid.height, grid.width)).flatten(1)
        return torch.cat([ratio[:, : first.num_prefix_tokens], places], 1)
