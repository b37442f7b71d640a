"""Where a fit of damping ratios begins, if not everywhere alike: at what the gradient says of each position. Ours."""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.bottlenecks.first_order import first_order
from lit_coiba.bottlenecks.prior import NoisePrior
from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.network import SplitNetwork, State
from lit_coiba.core.targets import Resolved

MIDDLE, SLOPE, FARTHEST = 0.0, 2.0, 2.0  # logit of a position like the mean; change by a standard deviation; bound


def gradient_start(
    split: SplitNetwork,
    state: State,
    targets: Resolved,
    prior: NoisePrior,
    images: Tensor,
    evaluator: BatchedEvaluator,
) -> Tensor:
    """First logits of the ratios, ``(B, positions)``: high where the score depends on the first layer's activation.

    With g the gradient of the clean score, a position counts ``|sum_c g (R - mean)|``, the first-order drop if it is
    replaced by its mean, plus ``sqrt(sum_c (g std)^2)``, the noise that it would inject; standardized over positions.

    Args:
        split: The network from the first bottleneck layer on.
        state: State of the images below it.
        targets: A row for each image.
        prior: Noise of the layers.
        images: ``(B, 3, H, W)``; their size decides how many run at once.
        evaluator: Runs them.
    """

    def slopes(_: slice, rows: slice) -> Tensor:
        some = state.rows(rows)
        leaf = some.activation.detach().requires_grad_(True)
        out = split.upper(some, lambda index, activation: activation if index else leaf)
        return torch.autograd.grad(targets.take(rows).score(out).sum(), leaf)[0].unsqueeze(0)

    (slope,) = evaluator.gather(images, 1, slopes)
    found = first_order(prior, 0, state.activation, slope, split.grids[0])
    importance = found.drop.abs() + found.noise
    spread = importance.std(-1, keepdim=True).clamp_min(torch.finfo(importance.dtype).tiny)
    standardized = (importance - importance.mean(-1, keepdim=True)) / spread
    return MIDDLE + SLOPE * standardized.clamp(-FARTHEST, FARTHEST)
