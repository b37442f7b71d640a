"""What an explanation says of parts against what the model does without them: the FunnyBirds protocol.

Hesse, Schaub-Meyer and Roth, FunnyBirds, 2023 (arXiv 2308.06248), with the settings of the released code. P parts of
the object come first; of Q parts those beyond P are things in the background. NaN = undefined.
"""

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from lit_coiba.functional.correlation import spearman
from lit_coiba.functional.part_sets import part_subsets, subset_number

IRRELEVANT = 0.05  # share of the score below which a drop does not count (the released code)


def part_thresholds(count: int = 80, low: float = 0.01, high: float = 0.5) -> Tensor:
    """Shares of a map's sum above which a part is important, fp64 ``(T,)``; the released code's by default."""
    return torch.linspace(low, high, count, dtype=torch.float64)


def part_importance(maps: Tensor, masks: Tensor, dilation: int = 5) -> Tensor:
    """Sum of a map over each part and what surrounds it, signs kept, ``(B, Q)``.

    Args:
        maps: Maps at the resolution of the masks, ``(B, H, W)``.
        masks: Where the parts are, bool ``(B, Q, H, W)``.
        dilation: Side of the square, odd, by which a mask is widened: 5 pixels in the released code.

    Example:
        >>> part_importance(torch.tensor([[[1.0, 2.0, 4.0]]]), torch.tensor([[[[True, False, False]]]]), dilation=3)
        tensor([[3.]])
    """
    wide = max_pool2d(masks.to(maps.dtype), dilation, 1, dilation // 2)
    return (maps.unsqueeze(1) * wide).sum((-2, -1))


def important_parts(importance: Tensor, total: Tensor, thresholds: Tensor) -> Tensor:
    """Parts with more than a share of the map's sum: ``(B, Q)``, ``(B,)``, ``(T,)`` -> bool ``(B, T, Q)``.

    Signs are kept, as in the released code. Where a map's sum is not positive, shares of it mean nothing: count these.

    Example:
        >>> important_parts(torch.tensor([[3.0, 1.0]]), torch.tensor([4.0]), torch.tensor([0.1, 0.5]))
        tensor([[[ True,  True],
                 [ True, False]]])
    """
    least = thresholds.to(total) * total.unsqueeze(1)  # (B, T)
    return importance.unsqueeze(1) > least.unsqueeze(2)


def sufficient_overlap(important: Tensor, minimal: Tensor) -> Tensor:
    """Controlled synthetic data check: the largest share of a minimal sufficient set that is important.

    Args:
        important: Important parts, bool ``(B, T, P)``.
        minimal: Minimal sufficient sets of each sample's class, bool ``(B, 2^P)``, see `minimal_sufficient_sets`.

    Returns:
        ``(B, T)``; NaN without such a set.

    Example:
        >>> sufficient_overlap(torch.tensor([[[True, False]]]), torch.tensor([[False, False, False, True]]))
        tensor([[0.5000]])
    """
    subsets = part_subsets(important.shape[-1]).to(important.device)
    sizes = subsets.sum(1).clamp_min(1)
    share = (important.unsqueeze(2) & subsets).sum(-1) / sizes  # (B, T, 2^P); no matrix products, which autocast rounds
    best = share.masked_fill(~minimal.unsqueeze(1), -1).amax(-1)
    return torch.where(minimal.any(1, keepdim=True), best, torch.nan)


def preservation(kept: Tensor, important: Tensor) -> Tensor:
    """Preservation check: 1 where the important parts alone keep the prediction, ``(B, T)``.

    Args:
        kept: Whether the prediction is kept with each set of parts, bool ``(B, 2^P)``.
        important: Important parts, bool ``(B, T, P)``.
    """
    return kept.gather(1, subset_number(important)).float()


def deletion_check(kept: Tensor, important: Tensor) -> Tensor:
    """Deletion check: 1 where the prediction changes without the important parts, ``(B, T)``.

    Args:
        kept: Whether the prediction is kept with each set of parts, bool ``(B, 2^P)``.
        important: Important parts, bool ``(B, T, P)``.
    """
    return (~kept.gather(1, subset_number(~important))).float()


def is_predicted(logits: Tensor, classes: Tensor) -> Tensor:
    """Whether a class has a larger logit than every other one: ``(B, ..., K)``, ``(B,)`` -> bool ``(B, ...)``.

    Classes that tie are no prediction, whatever their order: an object without parts fits all of them.
    """
    index = classes.view(-1, *(1,) * (logits.dim() - 1)).expand(*logits.shape[:-1], 1)
    others = logits.scatter(-1, index, -torch.inf).amax(-1)
    return logits.gather(-1, index).squeeze(-1) > others


def irrelevant_parts(drops: Tensor, scores: Tensor, share: float = IRRELEVANT) -> Tensor:
    """Parts without which the score rises, or drops by less than a share of it, bool ``(B, Q)``.

    Args:
        drops: What the score loses without each part, ``(B, Q)``.
        scores: The score with all of them, ``(B,)``.
        share: Share of the score.
    """
    return (drops < share * scores.abs().unsqueeze(1)) | (drops <= 0)


def distractibility(important: Tensor, irrelevant: Tensor) -> Tensor:
    """1 less the share of the irrelevant parts that are important: bool ``(B, T, Q)``, ``(B, Q)`` -> ``(B, T)``.

    NaN where all are relevant.

    Example:
        >>> distractibility(torch.tensor([[[True, True, False]]]), torch.tensor([[False, True, True]]))
        tensor([[0.5000]])
    """
    count = irrelevant.sum(1, keepdim=True)
    found = (important & irrelevant.unsqueeze(1)).sum(-1) / count
    return torch.where(count > 0, 1 - found, torch.nan)


def single_deletion(drops: Tensor, importance: Tensor) -> Tensor:
    """Spearman's correlation of importance with the drop without each part, on 0 to 1: ``(B, P)`` twice -> ``(B,)``.

    Equal values share their mean rank; NaN where all drops or all importances are equal.

    Example:
        >>> single_deletion(torch.tensor([[3.0, 2.0, 1.0]]), torch.tensor([[9.0, 5.0, 0.0]]))
        tensor([1.])
    """
    return (spearman(drops, importance).to(importance.dtype) + 1) / 2


def target_sensitivity(importance: Tensor, parts: Tensor) -> Tensor:
    """Whether the parts that a class shares with the object matter more for it than for the other class.

    Args:
        importance: Importance of the parts in the explanations of two classes, ``(B, 2, P)``.
        parts: The parts that each of the two shares with the object, bool ``(B, 2, P)``.

    Returns:
        0, 0.5 or 1, ``(B,)``: the mean of the two comparisons; NaN where an importance is not finite.

    Example:
        >>> shares = torch.tensor([[[True, False], [False, True]]])
        >>> target_sensitivity(torch.tensor([[[2.0, 0.0], [1.0, 0.0]]]), shares)
        tensor([0.5000])
    """
    sums = (importance.unsqueeze(2) * parts.unsqueeze(1)).sum(-1)  # (B, class, whose shared parts)
    right = (sums[:, 0, 0] > sums[:, 1, 0]).to(sums.dtype) + (sums[:, 1, 1] > sums[:, 0, 1]).to(sums.dtype)
    return torch.where(importance.flatten(1).isfinite().all(1), right / 2, torch.nan)


def tells_sharers_apart(logits: Tensor, without: Tensor) -> Tensor:
    """Whether a model does what target sensitivity takes for granted, bool ``(B,)``.

    A class loses more without the parts that it shares with the object than without those that the other one shares.

    Args:
        logits: Of the two classes, ``(B, 2)``.
        without: The same without the shared parts of the first and of the second class, ``(B, set, class)``.
    """
    drops = logits.unsqueeze(1) - without
    return (drops[:, 0, 0] > drops[:, 1, 0]) & (drops[:, 1, 1] > drops[:, 0, 1])
