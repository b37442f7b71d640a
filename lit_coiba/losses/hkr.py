"""HKR: the Wasserstein distance between classes as a loss, with a hinge that places the boundary.

Serrurier et al., Achieving robustness in classification using optimal transport with hinge regularization, 2021 (arXiv
2006.06520). For 1-Lipschitz f the Kantorovich-Rubinstein term is a lower bound of the Wasserstein-1 distance of the
classes, equal to it at the optimum. `margin` is the full width m of the band around the boundary: the hinge uses m / 2.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot, relu


def kr(logits: Tensor, positive: Tensor) -> Tensor:
    """``E[f | y = +1] - E[f | y = -1]`` over the first axis, ``(B, ...)`` -> ``(...)``; an absent class counts as 0.

    Frequencies are those of this batch, also where several processes share one.

    Args:
        logits: f, ``(B, ...)``.
        positive: Whether y is +1, of the shape of `logits`.

    Example:
        >>> kr(torch.tensor([3.0, 1.0, -2.0]), torch.tensor([True, True, False]))
        tensor(4.)
    """
    means = [(logits * side).sum(0) / side.sum(0).clamp_min(1) for side in (positive, ~positive)]
    return means[0] - means[1]


def hinge(logits: Tensor, positive: Tensor, margin: float = 1.0) -> Tensor:
    """``max(0, m / 2 - y f)`` of each logit, of the shape of `logits`.

    Example:
        >>> hinge(torch.tensor([3.0, 0.25]), torch.tensor([True, False]))
        tensor([0.0000, 0.7500])
    """
    return relu(margin / 2 - signed(logits, positive))


def hkr(logits: Tensor, positive: Tensor, alpha: float = 0.9, margin: float = 1.0) -> Tensor:
    """``alpha E[hinge] - (1 - alpha) KR`` of a binary classifier, a scalar.

    Args:
        logits: f, ``(B,)``.
        positive: Whether y is +1, ``(B,)``.
        alpha: Share of the hinge, 0 to 1; 0 = KR alone, which does not say where the boundary is.
        margin: m.

    Example:
        >>> hkr(torch.tensor([3.0, -3.0]), torch.tensor([True, False]), alpha=0.5)
        tensor(-3.)
    """
    return alpha * hinge(logits, positive, margin).mean() - (1 - alpha) * kr(logits, positive)


def multiclass_hkr(logits: Tensor, targets: Tensor, alpha: float = 0.9, margin: float = 1.0) -> Tensor:
    """The same of K classes, each against the rest: KR is averaged over classes, true classes weigh K - 1, a scalar.

    Args:
        logits: f, ``(B, K)``.
        targets: Classes ``(B,)``.
        alpha: Share of the hinge, 0 to 1.
        margin: m.

    Example:
        >>> multiclass_hkr(torch.tensor([[3.0, -3.0], [-3.0, 3.0]]), torch.tensor([0, 1]), alpha=0.5)
        tensor(-3.)
    """
    positive = true_classes(logits, targets)
    weights = torch.where(positive, logits.shape[1] - 1, 1)
    hinges = (weights * hinge(logits, positive, margin)).mean()
    return alpha * hinges - (1 - alpha) * kr(logits, positive).mean()


def true_classes(logits: Tensor, targets: Tensor) -> Tensor:
    """Whether a logit is that of the sample's class, ``(B, K)`` bool."""
    return one_hot(targets, logits.shape[1]).bool()


def signed(logits: Tensor, positive: Tensor) -> Tensor:
    """``s f``: the logit where the class is the true one, else its negative."""
    return torch.where(positive, logits, -logits)
