"""SaCo: do groups of pixels that a map says are more salient also matter more, and by as much?"""

import torch
from torch import Tensor


def salience_faithfulness(saliences: Tensor, drops: Tensor) -> Tensor:
    """The salience-guided faithfulness coefficient of groups; ``(B, K)``, ``(B, K)`` -> ``(B,)``.

    Wu et al., "On the Faithfulness of Vision Transformer Explanations", 2024 (arXiv 2404.01415), algorithm 1: each pair
    of groups counts by the difference of their saliences, for the map where the order of their drops is the same, else
    against it. Equal drops count for it. NaN where all saliences, or all drops (ours), are equal, or one is not finite.

    Args:
        saliences: Salience of each group.
        drops: What the score loses without it.

    Example:
        >>> salience_faithfulness(torch.tensor([[4.0, 3.0, 2.0, 1.0]]), torch.tensor([[0.4, 0.3, 0.1, 0.2]]))
        tensor([0.8000])
    """
    differences = saliences.unsqueeze(2) - saliences.unsqueeze(1)  # (B, K, K): s_i - s_j
    right = drops.unsqueeze(2) >= drops.unsqueeze(1)
    pairs = saliences.new_ones(saliences.shape[1], saliences.shape[1], dtype=torch.bool).triu(1)
    signed = torch.where(right, differences, -differences).masked_fill(~pairs, 0).sum((1, 2))
    whole = differences.abs().masked_fill(~pairs, 0).sum((1, 2))
    level = (drops == drops[:, :1]).all(1) | ~drops.isfinite().all(1)
    return torch.where(level, torch.nan, signed / whole)
