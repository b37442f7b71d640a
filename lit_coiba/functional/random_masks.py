"""RISE's masks: random cells, enlarged smoothly and shifted (Petsiuk, Das and Saenko, 2018, arXiv 1806.07421)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lit_coiba.functional.noise import noise, uniform


def random_cells(seed: int, masks: int, cells: int, keep: float) -> tuple[Tensor, Tensor]:
    """Cells that are kept, bool ``(masks, cells, cells)``, and shifts in shares of a cell, fp64 ``(masks, 2)``.

    Args:
        seed: Seed of the random draws, which depend on nothing but the arguments.
        masks: Number of masks.
        cells: Number of cells along a side.
        keep: Probability of a cell to be kept.

    Example:
        >>> random_cells(0, 1000, 7, 0.5)[0].double().mean()
        tensor(0.5001, dtype=torch.float64)
    """
    shares = uniform(noise(seed, 0, 0, (masks, cells, cells)).double())
    return shares < keep, uniform(noise(seed, 0, 1, (masks, 2)).double())


def shifted_masks(kept: Tensor, shifts: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks ``(k, H, W)`` in [0, 1]: cells enlarged bilinearly to one more cell than the image has, then cropped.

    Args:
        kept: ``(k, s, s)``, in the precision of the masks.
        shifts: Start of the crop, in shares of a cell: ``(k, 2)`` in [0, 1).
        size: H and W, pixels.

    Example:
        >>> shifted_masks(torch.tensor([[[0.0, 1.0], [0.0, 1.0]]]), torch.zeros(1, 2), (4, 4))[0, 0].round(decimals=3)
        tensor([0.0000, 0.0000, 0.3330, 0.6670])
    """
    side = kept.shape[-1]
    cell = [math.ceil(pixels / side) for pixels in size]
    large = [(side + 1) * pixels for pixels in cell]
    masks = interpolate(kept.unsqueeze(1), size=large, mode="bilinear", align_corners=False).squeeze(1)
    starts = (shifts * shifts.new_tensor(cell)).long()
    rows, columns = (start.unsqueeze(-1) + torch.arange(p, device=kept.device) for start, p in zip(starts.T, size))
    copies = torch.arange(len(kept), device=kept.device).view(-1, 1, 1)
    return masks[copies, rows.unsqueeze(-1), columns.unsqueeze(-2)]
