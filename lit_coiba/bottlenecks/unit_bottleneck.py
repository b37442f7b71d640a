"""How many bits each unit of one layer has to pass: the bottleneck of IBA, and the first step of InputIBA.

Schulz, Sixt, Tombari and Landgraf, "Restricting the Flow: Information Bottlenecks for Attribution", 2020 (arXiv
2001.00396).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.bottlenecks.fitting import cross_entropy_of_copies, fit
from lit_coiba.bottlenecks.prior import NoisePrior
from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.network import SplitNetwork, State
from lit_coiba.functional import BITS_PER_NAT, information, information_gradient, information_of_ratio


class Fitted(NamedTuple):
    """What a bottleneck came to, image by image."""

    bits: Tensor  # (B, *activation): passed by each unit
    cross_entropy_start: Tensor  # (B,) nats, at the first pass
    cross_entropy: Tensor  # (B,) nats, at the last one


class UnitBottleneck:
    """A bottleneck at one layer, batched over images.

    Args:
        path: The network from the layer on.
        state: Of the images, below the layer.
        classes: ``(B,)``.
        prior: Noise of the layer; its settings say how many copies of an image a pass takes.
        active: Which units may pass, ``(*activation)``; the others are zero.
        beta: Weight of the mean information per unit.
        smoothed: Smooths ratios ``(B, *activation)`` over places; None = they are free of one another.
        relu: Clamp noised activations at zero.
    """

    def __init__(
        self,
        path: SplitNetwork,
        state: State,
        classes: Tensor,
        prior: NoisePrior,
        active: Tensor,
        beta: float,
        smoothed: Callable[[Tensor], Tensor] | None = None,
        relu: bool = False,
    ) -> None:
        self.path = path
        self.state = state
        self.classes = classes
        self.prior = prior
        self.squared = prior.standardise(0, state.activation).square()
        self.active = active.to(self.squared)
        self.beta = beta
        self.smoothed = smoothed
        self.relu = relu

    def fit(self, steps: int, lr: float, start: float, copies: BatchedEvaluator, images: Tensor) -> Fitted:
        """Bits per unit after `steps` - 1 updates by Adam.

        Args:
            steps: Forward passes of the original procedure, the last of which need not be run.
            lr: Learning rate.
            start: First logit of every ratio.
            copies: Runs the noised activations through the network.
            images: ``(B, 3, H, W)``; their size says how many of them run at once.
        """
        alpha, entropies = torch.full_like(self.squared, start), []

        def gradient(step: int) -> Tensor:
            found = copies.accumulate(
                images, self.prior.settings.copies, lambda some, rows: self._through_network(alpha, step, some, rows)
            )
            entropies.append(found[:, -1])
            weight = self.beta / self.squared[0].numel()
            return found[:, :-1].view_as(alpha) + weight * self._information_gradient(alpha)

        fit(alpha, gradient, steps, lr)
        return Fitted(self._nats(alpha) * self.active * BITS_PER_NAT, entropies[0], entropies[-1])

    def _through_network(self, alpha: Tensor, step: int, some: slice, rows: slice) -> Tensor:
        """What some copies add to the gradient of some images' mean cross-entropy, and to it, ``(r, units + 1)``."""
        leaf, count = alpha[rows].clone().requires_grad_(True), some.stop - some.start
        ratio = torch.sigmoid(leaf) if self.smoothed is None else self.smoothed(torch.sigmoid(leaf))

        def noised(_: int, activation: Tensor) -> Tensor:
            draw = self.prior.draw(step, 0, activation)[some]
            clean = activation.unflatten(0, (count, -1)).to(draw.dtype)
            mixed = torch.lerp(draw.unsqueeze(1), clean, ratio) * self.active
            return (mixed.relu() if self.relu else mixed).flatten(0, 1).to(activation.dtype)

        logits = self.path.upper(self.state.rows(rows).repeat(count), noised)
        entropy = cross_entropy_of_copies(logits, self.classes[rows], count) * (count / self.prior.settings.copies)
        (slope,) = torch.autograd.grad(entropy.sum(), leaf)
        return torch.cat([slope.flatten(1), entropy.detach().unsqueeze(1).to(slope)], 1)

    def _nats(self, alpha: Tensor) -> Tensor:
        """Information of each unit, open or not."""
        if self.smoothed is None:
            return information(alpha, self.squared)
        ratio, noise = (self.smoothed(torch.sigmoid(sign * alpha)) for sign in (1, -1))
        return information_of_ratio(ratio, noise, self.squared)

    def _information_gradient(self, alpha: Tensor) -> Tensor:
        """Gradient of the information of all units that may pass."""
        if self.smoothed is None:
            return information_gradient(alpha, self.squared) * self.active
        leaf = alpha.clone().requires_grad_(True)
        return torch.autograd.grad((self._nats(leaf) * self.active).sum(), leaf)[0]
