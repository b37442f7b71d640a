"""Fitting damping ratios: one private Adam, one loss per image, summed, so that images do not see each other."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lit_coiba.functional import precise


def unchanged(_: int, activation: Tensor) -> Tensor:
    """The edit that leaves every target as it is: the clean network."""
    return activation


def cross_entropy_of_copies(logits: Tensor, targets: Tensor, copies: int) -> Tensor:
    """Mean cross-entropy over the noise copies of each image, in nats.

    Args:
        logits: ``(copies * B, K)``, copy-major.
        targets: ``(B,)`` classes.
        copies: Noise copies per image.

    Returns:
        ``(B,)``.
    """
    log_probabilities = precise(logits).log_softmax(-1).unflatten(0, (copies, -1))
    return -log_probabilities.gather(-1, targets.expand(copies, -1).unsqueeze(-1)).squeeze(-1).mean(0)


def fit(alpha: Tensor, gradient: Callable[[int], Tensor], steps: int, lr: float) -> None:
    """Move `alpha` by Adam along ``gradient(step)`` for `steps` - 1 updates, in place.

    The map of IBA and CoIBA is taken from the last of `steps` forward passes, before its update. It depends on alpha
    alone, so that last pass need not be run.
    """
    optimiser = torch.optim.Adam([alpha], lr=lr, betas=(0.9, 0.999), eps=1e-8)
    for step in range(steps - 1):
        alpha.grad = gradient(step)
        optimiser.step()
