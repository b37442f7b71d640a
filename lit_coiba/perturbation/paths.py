"""Gradients along straight paths from a baseline to an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved


def cast(model: Network, images: Tensor) -> Callable[[Tensor], Tensor]:
    """The model on points of a finer precision than that of `images`, which is the one that it takes.

    Steps and shifts of a search can be smaller than what bf16 resolves.
    """
    return lambda points: model(points.to(images.dtype))


def path_attribution(
    network: Callable[[Tensor], Tensor],
    images: Tensor,
    baselines: Tensor,
    targets: Resolved,
    weights: Sequence[float],
    shares: Sequence[float],
    evaluator: BatchedEvaluator,
) -> Tensor:
    """Image minus baseline, times the weighted sum of the gradients between them: ``(B, 3, H, W)``.

    Args:
        network: The model on points ``(N, 3, H, W)`` as precise as `images`; see `cast`.
        images: ``(B, 3, H, W)``, in fp32 at least.
        baselines: Where the paths start, ``(B, 3, H, W)``, as precise.
        targets: A row for each image.
        weights: Weights of the points of a path.
        shares: How far along the path they lie, from 0 to 1.
        evaluator: Decides how many points run at once.
    """
    way = images - baselines

    def slopes(some: slice, rows: slice) -> Tensor:
        """Weighted sum of the gradients at some points of the paths of some images."""
        weight, share = (images.new_tensor(part[some]).view(-1, 1, 1, 1, 1) for part in (weights, shares))
        points = (baselines[rows] + share * way[rows]).flatten(0, 1).requires_grad_()
        scores = targets.take(rows).repeat(len(share)).score(network(points))
        gradients = torch.autograd.grad(scores.sum(), points)[0].unflatten(0, (len(share), -1))
        return (weight * gradients).sum(0)

    return way * evaluator.accumulate(images, len(shares), slopes)
