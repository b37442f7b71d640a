"""HKR against a smooth maximum of the other classes: a variant of the package deel-torchlip, of no paper we know.

It extends Serrurier et al., 2023 (arXiv 2206.06854): the softmax over other classes becomes a LogSumExp.
"""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import relu

from lit_coiba.losses.hkr import true_classes


def lse_hkr(logits: Tensor, targets: Tensor, alpha: float = 0.9, margin: float = 1.0, penalty: float = 1.0) -> Tensor:
    """``(1 - alpha) (l - f_y) + alpha [max(0, m / 2 - f_y) + max(0, m / 2 + l)]``, averaged over the batch, a scalar.

    l is the LogSumExp of the other logits at such a temperature that it is their maximum, and half a band's width times
    `penalty` more at most.

    Args:
        logits: f, ``(B, K)``.
        targets: Classes ``(B,)``.
        alpha: Share of the hinge, 0 to 1.
        margin: m, the full width of the band around the boundary.
        penalty: How far the smooth maximum may lie above the maximum, in half bands.

    Example:
        >>> import torch
        >>> lse_hkr(torch.tensor([[2.0, -2.0]]), torch.tensor([0]), alpha=0.5)
        tensor(-2.)
    """
    positive = true_classes(logits, targets)
    others = logits.masked_fill(positive, -math.inf)
    if logits.shape[1] > 2:
        scale = math.log(logits.shape[1] - 1) / (penalty * margin / 2)
        rest = (scale * others).logsumexp(1) / scale
    else:
        rest = others.amax(1)
    own = logits.gather(1, targets[:, None]).squeeze(1)
    hinges = relu(margin / 2 - own) + relu(margin / 2 + rest)
    return ((1 - alpha) * (rest - own) + alpha * hinges).mean()
