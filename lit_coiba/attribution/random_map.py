"""Random maps: the floor that every method has to beat."""

from __future__ import annotations

from torch import Tensor

from lit_coiba.contracts import AttributionMethod, Explanation, InputError, Network
from lit_coiba.functional import noise


class RandomMap(AttributionMethod):
    """Uniform random numbers on a grid, the same map for every image of a run.

    Args:
        cells: Side of the grid.
        seed: Of the numbers.
    """

    def __init__(self, cells: int = 14, seed: int = 0) -> None:
        if cells < 1:
            raise InputError(f"cells must be at least 1, not {cells}")
        self.cells = cells
        self.seed = seed

    def explain(self, model: Network, images: Tensor, targets: Tensor | int | None = None) -> Explanation:
        """A map ``(B, cells, cells)`` that knows neither the images nor the targets."""
        normal = noise(self.seed, 0, 0, (self.cells, self.cells))
        uniform = 0.5 * (1 + (normal / 2**0.5).erf())
        return Explanation(uniform.to(images.device).expand(len(images), -1, -1).contiguous(), {})
