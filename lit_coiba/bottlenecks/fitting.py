"""Fitting damping ratios: one private Adam, one loss per image, summed, so that images do not see each other."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.targets import Resolved


class Loss(NamedTuple):
    """Loss of some images, mean over some of their noise copies, in nats; ``(r,)`` each."""

    total: Tensor  # what is differentiated
    fidelity: Tensor  # the part of it that says how badly the target survives


class Bottleneck(Protocol):
    """What is fitted: a loss whose information is in closed form, as far as its gradient needs no network."""

    def loss(self, alpha: Tensor, step: int, copies: slice, rows: slice) -> Loss:
        """The part of the loss that needs the network.

        Args:
            alpha: Logits of the damping ratios of these images, ``(r, ...)``.
            step: Number of the update, which decides the noise.
            copies: Noise copies to run.
            rows: Images to run.
        """

    def information_gradient(self, alpha: Tensor) -> Tensor:
        """Gradient of the weighted information of all images with respect to their logits, ``(B, ...)``."""


class Fitted(NamedTuple):
    """Logits of the damping ratios, and how the target survived while they were fitted."""

    alpha: Tensor  # (B, ...)
    fidelity_start: Tensor  # (B,) nats, at the first pass
    fidelity: Tensor  # (B,) nats, at the last pass

    def extras(self) -> dict[str, Tensor]:
        """What an explanation reports about the fit, per image."""
        return {"cross_entropy_start": self.fidelity_start, "cross_entropy": self.fidelity}


class PerImageAdam(NamedTuple):
    """Adam on one tensor whose first axis is the images.

    The map of IBA and CoIBA is taken from the last of their forward passes, before its update. It depends on the logits
    alone, so that pass is not run: their `updates` are one fewer than their steps.
    """

    updates: int
    lr: float
    copies: int  # noise copies per image and update
    evaluator: BatchedEvaluator

    def fit(self, alpha: Tensor, images: Tensor, bottleneck: Bottleneck) -> Fitted:
        """Move `alpha` along the gradient of the loss of `bottleneck`, in place.

        Args:
            alpha: First logits, ``(B, ...)``.
            images: ``(B, 3, H, W)``; their size decides how many copies run at once.
            bottleneck: The loss.
        """
        optimizer, fidelities = torch.optim.Adam([alpha], lr=self.lr, betas=(0.9, 0.999), eps=1e-8), []
        for step in range(self.updates):
            alpha.grad, fidelity = self.gradient(alpha, step, images, bottleneck)
            fidelities.append(fidelity)
            optimizer.step()
        return Fitted(alpha, fidelities[0], fidelities[-1])

    def gradient(self, alpha: Tensor, step: int, images: Tensor, bottleneck: Bottleneck) -> tuple[Tensor, Tensor]:
        """Gradient of the loss, summed over images, ``(B, ...)``, and the fidelity of each image, ``(B,)``."""

        def through_network(copies: slice, rows: slice) -> tuple[Tensor, Tensor]:
            leaf, share = alpha[rows].clone().requires_grad_(True), (copies.stop - copies.start) / self.copies
            loss = bottleneck.loss(leaf, step, copies, rows)
            (slope,) = torch.autograd.grad((share * loss.total).sum(), leaf)
            return slope, share * loss.fidelity.detach()

        slope, fidelity = self.evaluator.accumulate(images, self.copies, through_network)
        return slope + bottleneck.information_gradient(alpha), fidelity


def unchanged(_: int, activation: Tensor) -> Tensor:
    """The edit that leaves every bottleneck layer as it is: the clean network."""
    return activation


def fidelity_of_copies(out: Any, targets: Resolved, copies: int) -> Tensor:
    """Fidelity loss of each row, mean over its noise copies, in nats, ``(R,)``.

    Args:
        out: Output of the model with one entry per copy of each row, copy-major, such as logits ``(copies * R, K)``.
        targets: R rows.
        copies: Noise copies per row.
    """
    return targets.repeat(copies).fidelity(out).unflatten(0, (copies, -1)).mean(0)
