"""How many bits each unit of one layer has to pass: the bottleneck of IBA, and the first step of InputIBA.

Schulz, Sixt, Tombari and Landgraf, "Restricting the Flow: Information Bottlenecks for Attribution", 2020 (arXiv
2001.00396).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lit_coiba.bottlenecks.fitting import Loss, fidelity_of_copies
from lit_coiba.bottlenecks.prior import NoisePrior
from lit_coiba.core.network import SplitNetwork, State
from lit_coiba.core.targets import Resolved
from lit_coiba.functional import BITS_PER_NAT, information, information_gradient, information_of_ratio


class UnitBottleneck:
    """A bottleneck at one layer, batched over images.

    Args:
        split: The network from the layer on.
        state: State of the images below the layer.
        targets: A row for each image.
        prior: Noise of the layer.
        active: Units that may pass, ``(*activation)``; the others are zero.
        beta: Weight of the information, which is a mean over units.
        smoothed: Function that smooths ratios ``(B, *activation)`` over places; None = each ratio is free.
        relu: Whether noised activations are clamped at zero.
    """

    def __init__(
        self,
        split: SplitNetwork,
        state: State,
        targets: Resolved,
        prior: NoisePrior,
        active: Tensor,
        beta: float,
        smoothed: Callable[[Tensor], Tensor] | None = None,
        relu: bool = False,
    ) -> None:
        self.split = split
        self.state = state
        self.targets = targets
        self.prior = prior
        self.squared = prior.standardise(0, state.activation).square()
        self.active = active.to(self.squared)
        self.weight = beta / self.squared[0].numel()  # of one unit
        self.smoothed = smoothed
        self.relu = relu

    def start(self, alpha_init: float) -> Tensor:
        """First logits, ``(B, *activation)``."""
        return torch.full_like(self.squared, alpha_init)

    def loss(self, alpha: Tensor, step: int, copies: slice, rows: slice) -> Loss:
        """See `Bottleneck.loss`; all information is in closed form."""
        ratio, count = self._smoothed(torch.sigmoid(alpha)), copies.stop - copies.start

        def noised(_: int, activation: Tensor) -> Tensor:
            draw = self.prior.draw(step, 0, activation)[copies]
            clean = activation.unflatten(0, (count, -1)).to(draw.dtype)
            mixed = torch.lerp(draw.unsqueeze(1), clean, ratio) * self.active
            return (mixed.relu() if self.relu else mixed).flatten(0, 1).to(activation.dtype)

        out = self.split.upper(self.state.rows(rows).repeat(count), noised)
        fidelity = fidelity_of_copies(out, self.targets.take(rows), count)
        return Loss(fidelity, fidelity)

    def information_gradient(self, alpha: Tensor) -> Tensor:
        """Gradient of the weighted information of all units that may pass, ``(B, *activation)``."""
        if self.smoothed is None:
            return self.weight * (information_gradient(alpha, self.squared) * self.active)
        leaf = alpha.clone().requires_grad_(True)
        return self.weight * torch.autograd.grad((self._information(leaf) * self.active).sum(), leaf)[0]

    def bits(self, alpha: Tensor) -> Tensor:
        """Bits that each unit passes, ``(B, *activation)``."""
        return self.nats(alpha) * BITS_PER_NAT

    def nats(self, alpha: Tensor) -> Tensor:
        """Information that each unit passes in nats, ``(B, *activation)``, in the graph of `alpha`."""
        return self._information(alpha) * self.active

    def _information(self, alpha: Tensor) -> Tensor:
        """Information of each unit in nats, whether it may pass or not."""
        if self.smoothed is None:
            return information(alpha, self.squared)
        ratio, one_minus_ratio = (self.smoothed(torch.sigmoid(sign * alpha)) for sign in (1, -1))
        return information_of_ratio(ratio, one_minus_ratio, self.squared)

    def _smoothed(self, ratio: Tensor) -> Tensor:
        return ratio if self.smoothed is None else self.smoothed(ratio)
