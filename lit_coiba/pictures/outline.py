"""Where the data say that the object is, as a line on a picture."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d

LINE = (0, 230, 118)  # green, which neither heat nor signs have
WIDTH = 2  # pixels


def outlined(pixels: Tensor, region: Tensor | None) -> Tensor:
    """A picture ``(3, H, W)`` uint8 with a line along the inside of a region ``(h, w)`` bool; None = no region."""
    if region is None or not region.any():
        return pixels
    inside = interpolate(region[None, None].float(), size=tuple(pixels.shape[1:]), mode="nearest")
    around = max_pool2d(1 - inside, 2 * WIDTH + 1, 1, WIDTH)  # at the border of the picture there is no line
    line = (inside * around)[0, 0] > 0
    return torch.where(line, torch.tensor(LINE, dtype=torch.uint8).view(3, 1, 1), pixels)
