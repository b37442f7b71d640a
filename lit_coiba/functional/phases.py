"""Phases of a real image's Fourier transform, tied so that a given magnitude spectrum is held exactly.

``irfft2`` takes any half spectrum, but the columns kx = 0 and, of an even width W, kx = W/2 hold each frequency twice,
at ky and -ky: free phases there are averaged, and magnitudes with them.
"""

from __future__ import annotations

import torch
from torch import Tensor


def doubled_columns(width: int) -> list[int]:
    """Columns of the half spectrum of an image of `width` pixels that hold each frequency twice.

    Example:
        >>> doubled_columns(8), doubled_columns(7)
        ([0, 4], [0])
    """
    return [0] if width % 2 else [0, width // 2]


def symmetrized(magnitude: Tensor, width: int) -> Tensor:
    """A magnitude spectrum ``(..., H, W // 2 + 1)`` that a real image can have; 0 at the frequency 0.

    Args:
        magnitude: Magnitudes, in the order of ``rfft2``.
        width: W, the width of the image in pixels.

    Example:
        >>> symmetrized(torch.tensor([[9.0, 1.0], [1.0, 2.0], [3.0, 4.0]]), 2)
        tensor([[0., 1.],
                [2., 3.],
                [2., 3.]])
    """
    found = magnitude.clone()
    for column in doubled_columns(width):
        values = magnitude[..., column]
        opposite = torch.cat([values[..., :1], values[..., 1:].flip(-1)], -1)
        found[..., column] = (values + opposite) / 2
    found[..., 0, 0] = 0
    return found


def free_phases(height: int, width: int) -> Tensor:
    """Which phases of a half spectrum may be chosen, bool ``(H, W // 2 + 1)``; the others follow or are 0 or pi.

    Example:
        >>> free_phases(2, 4).int()
        tensor([[0, 1, 0],
                [0, 1, 0]], dtype=torch.int32)
    """
    free = torch.ones(height, width // 2 + 1, dtype=torch.bool)
    for column in doubled_columns(width):
        free[0, column] = False
        free[(height + 1) // 2 :, column] = False
    return free


def tied_phases(phases: Tensor, pinned: Tensor, width: int) -> Tensor:
    """Phases ``(..., H, W // 2 + 1)`` of a real image: in doubled columns those of -ky are minus those of ky.

    Args:
        phases: Phases in radians, of which those that `free_phases` names count.
        pinned: Phases of frequencies that are their own opposites, 0 or pi, at their places; same shape.
        width: W, the width of the image in pixels.
    """
    height, doubled = phases.shape[-2], doubled_columns(width)
    columns = [_tied(phases[..., column], pinned[..., column], height).unsqueeze(-1) for column in doubled]
    return torch.cat([columns[0], phases[..., 1 : (width + 1) // 2], *columns[1:]], -1)


def _tied(phases: Tensor, pinned: Tensor, height: int) -> Tensor:
    """One column ``(..., H)``."""
    upper = phases[..., 1 : (height + 1) // 2]
    middle = pinned[..., height // 2 : height // 2 + 1 - height % 2]  # of an even height only
    return torch.cat([pinned[..., :1], upper, middle, -upper.flip(-1)], -1)
