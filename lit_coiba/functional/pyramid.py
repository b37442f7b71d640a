"""Maps at several scales: the Gaussian pyramid of harmonization."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)  # weights of a row of the window, over 16


def gaussian_pyramid(maps: Tensor, levels: int = 5) -> list[Tensor]:
    """Maps ``(B, H, W)`` at `levels` scales, each with half the side of the one before, rounded up.

    From one level to the next: a convolution of stride 2 with the 5 x 5 binomial window, with zeros outside. As in the
    public code of Fel et al., 2022 (arXiv 2211.04533), of an even side one zero stands before and two after, so that
    the borders get darker.

    Args:
        maps: The first level.
        levels: Number of levels, 1 or more.

    Example:
        >>> [tuple(level.shape[1:]) for level in gaussian_pyramid(torch.ones(1, 224, 224))]
        [(224, 224), (112, 112), (56, 56), (28, 28), (14, 14)]
    """
    row = torch.tensor(BINOMIAL, dtype=maps.dtype, device=maps.device) / sum(BINOMIAL)
    window = torch.outer(row, row)[None, None]
    found = [maps]
    for _ in range(levels - 1):
        last = found[-1].unsqueeze(1)
        beside = [_outside(side) for side in (last.shape[-1], last.shape[-2])]  # of the last dimension first
        found.append(conv2d(pad(last, [*beside[0], *beside[1]]), window, stride=2)[:, 0])
    return found


def _outside(side: int) -> tuple[int, int]:
    """Zeros before and after a side, so that ``ceil(side / 2)`` windows of 5 fit at stride 2."""
    total = (-(-side // 2) - 1) * 2 + len(BINOMIAL) - side
    return total // 2, total - total // 2
