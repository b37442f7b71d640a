"""How many bits each unit of one layer has to pass: IBA without smoothing, the first step of InputIBA.

Schulz et al., "Restricting the Flow" (IBA), 2020 (arXiv 2001.00396); Zhang et al., 2021 (arXiv 2110.01471).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.bottlenecks.fitting import cross_entropy_of_copies, fit
from lit_coiba.bottlenecks.prior import NoisePrior
from lit_coiba.contracts import Path, State
from lit_coiba.copies import Copies
from lit_coiba.functional import BITS_PER_NAT, information, information_gradient


class Capacity:
    """A bottleneck at one layer, batched over images.

    Args:
        path: The network from the layer on.
        state: Of the images, below the layer.
        classes: ``(B,)``.
        prior: Noise of the layer; its settings say how many copies of an image a pass takes.
        active: Which units may pass, ``(*activation)``; the others are zero.
        beta: Weight of the mean information per unit.
    """

    def __init__(
        self, path: Path, state: State, classes: Tensor, prior: NoisePrior, active: Tensor, beta: float
    ) -> None:
        self.path = path
        self.state = state
        self.classes = classes
        self.prior = prior
        self.squared = prior.standardise(0, state.activation).square()
        self.active = active.to(self.squared)
        self.beta = beta

    def fit(self, steps: int, lr: float, start: float, copies: Copies, images: Tensor) -> Tensor:
        """Bits per unit after `steps` - 1 updates by Adam, ``(B, *activation)``.

        Args:
            steps: Forward passes of the original procedure, the last of which need not be run.
            lr: Learning rate.
            start: First logit of every ratio.
            copies: Runs the noised activations through the network.
            images: ``(B, 3, H, W)``; their size says how many of them run at once.
        """
        alpha = torch.full_like(self.squared, start)
        weight = self.beta / self.squared[0].numel()

        def gradient(step: int) -> Tensor:
            slope = copies.accumulate(
                images, self.prior.settings.copies, lambda some, rows: self.slope(alpha, step, some, rows)
            )
            return slope + weight * information_gradient(alpha, self.squared) * self.active

        fit(alpha, gradient, steps, lr)
        return information(alpha, self.squared) * self.active * BITS_PER_NAT

    def slope(self, alpha: Tensor, step: int, some: slice, rows: slice) -> Tensor:
        """What some copies add to the gradient of the mean cross-entropy of some images, ``(r, *activation)``."""
        leaf, count = alpha[rows].clone().requires_grad_(True), some.stop - some.start
        ratio = torch.sigmoid(leaf)

        def noised(_: int, activation: Tensor) -> Tensor:
            draw = self.prior.draw(step, 0, activation)[some]
            clean = activation.unflatten(0, (count, -1)).to(draw.dtype)
            mixed = torch.lerp(draw.unsqueeze(1), clean, ratio) * self.active
            return mixed.flatten(0, 1).to(activation.dtype)

        logits = self.path.tail(self.state.rows(rows).repeat(count), noised)
        entropy = cross_entropy_of_copies(logits, self.classes[rows], count)
        return torch.autograd.grad(entropy.sum() * count / self.prior.settings.copies, leaf)[0]
