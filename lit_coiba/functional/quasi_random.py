"""Points that fill a cube more evenly than random ones."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

MOST_DIMENSIONS = SobolEngine.MAXDIM


def sobol_sequence(points: int, dimensions: int, seed: int | None = None, skip: int = 0) -> Tensor:
    """Points of one Sobol sequence, fp64 ``(points, dimensions)`` in [0, 1), on the CPU.

    The global generator is neither read nor moved.

    Args:
        points: A power of two keeps the sequence balanced.
        dimensions: `MOST_DIMENSIONS` at most.
        seed: Seed of the scrambling; None = not scrambled: the first point is all zeros, the second all halves.
        skip: Points to leave out first; only multiples of `points` leave the rest balanced.

    Example:
        >>> sobol_sequence(4, 2)
        tensor([[0.0000, 0.0000],
                [0.5000, 0.5000],
                [0.7500, 0.2500],
                [0.2500, 0.7500]], dtype=torch.float64)
    """
    with torch.device("cpu"):
        engine = SobolEngine(dimensions, scramble=seed is not None, seed=seed)
        if skip:
            return engine.fast_forward(skip).draw(points, dtype=torch.float64)
        first = engine.quasi.double().unsqueeze(0) / 2**engine.MAXBIT  # the engine's own is of the default precision
        engine.fast_forward(1)
        rest = engine.draw(points - 1, dtype=torch.float64) if points > 1 else first[:0]
        return torch.cat([first, rest])
