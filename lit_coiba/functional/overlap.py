"""How far the highest pixels of two maps are the same."""

from __future__ import annotations

import torch
from torch import Tensor


def top_overlap(one: Tensor, other: Tensor, share: float = 0.1) -> tuple[Tensor, Tensor]:
    """Dice's coefficient and intersection over union of the highest pixels of maps, ``(B, H, W)`` twice -> ``(B,)``.

    Both are 1 where these pixels are the same; of independent maps Dice's coefficient is `share` on average.

    Args:
        one: Maps.
        other: Maps of the same size.
        share: Share of all pixels that counts as highest, above 0 to 1.

    Example:
        >>> top_overlap(torch.tensor([[[4.0, 3.0, 2.0, 1.0]]]), torch.tensor([[[9.0, 0.0, 8.0, 1.0]]]), 0.5)
        (tensor([0.5000]), tensor([0.3333]))
    """
    first, second = highest_weights(one, share), highest_weights(other, share)
    both = torch.minimum(first, second).sum((1, 2))
    return 2 * both / (first.sum((1, 2)) + second.sum((1, 2))), both / torch.maximum(first, second).sum((1, 2))


def highest_weights(maps: Tensor, share: float) -> Tensor:
    """1 at the highest pixels of maps, 0 at the others; of equal pixels, not all of which are among them, each in part.

    Args:
        maps: ``(B, H, W)``.
        share: Share of all pixels that counts as highest; at least one does.

    Returns:
        ``(B, H, W)``, with the same sum for each map.

    Example:
        >>> highest_weights(torch.tensor([[[5.0, 2.0, 2.0, 1.0]]]), 0.5)
        tensor([[[1.0000, 0.5000, 0.5000, 0.0000]]])
    """
    pixels = max(round(share * maps[0].numel()), 1) if len(maps) else 1
    least = maps.flatten(1).topk(pixels, 1).values[:, -1:, None]
    above, level = maps > least, maps == least
    missing = pixels - above.sum((1, 2), keepdim=True)
    return above.to(maps.dtype) + level * (missing / level.sum((1, 2), keepdim=True)).to(maps.dtype)
