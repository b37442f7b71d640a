"""Which pixels the rows and columns of a map cover."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Places(NamedTuple):
    """Which pixels of an image the cells of a map cover, where they are not equal parts of it.

    Row i covers pixels ``rows[i]`` to ``rows[i + 1]``, measured from the upper edge of the image; it may begin or end
    outside the image. Cells that differ from equal parts by less than a pixel, since cells are made of whole pixels,
    count as equal: their maps have no `Places`.
    """

    rows: tuple[float, ...]  # h + 1 edges, ascending, in pixels
    columns: tuple[float, ...]  # w + 1 edges
    size: tuple[int, int]  # height and width of the image in pixels

    @classmethod
    def unless_equal(cls, rows: Sequence[float], columns: Sequence[float], size: tuple[int, int]) -> Places | None:
        """Cells with these edges; None where they are equal parts of the image, up to whole pixels.

        Example:
            >>> Places.unless_equal([0, 4, 8, 10], [0, 5, 10], (10, 10))
            Places(rows=(0.0, 4.0, 8.0, 10.0), columns=(0.0, 5.0, 10.0), size=(10, 10))
            >>> Places.unless_equal([0, 4, 7, 10], [0, 5, 10], (10, 10)) is None
            True
        """
        off = max(_beside_equal(edges, pixels) for edges, pixels in ((rows, size[0]), (columns, size[1])))
        return None if off < 1 else cls(tuple(map(float, rows)), tuple(map(float, columns)), size)

    @classmethod
    def moved(cls, grid: tuple[int, int], size: tuple[int, int], offset: tuple[float, float]) -> Places | None:
        """Equal cells that lie `offset` pixels further down and to the right; None where that is less than a pixel.

        Example:
            >>> Places.moved((1, 2), (4, 8), (0.0, -2.0))
            Places(rows=(0.0, 4.0), columns=(-2.0, 2.0, 6.0), size=(4, 8))
        """
        rows, columns = (
            [cell * pixels / cells + shift for cell in range(cells + 1)]
            for cells, pixels, shift in zip(grid, size, offset)
        )
        return cls.unless_equal(rows, columns, size)

    def weights(self, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """What each cell adds to each pixel of an image that is shown in another size: ``(H, h)`` and ``(W, w)``, fp64.

        Between the centers of two cells values are interpolated linearly, beyond the outermost centers they stay.
        """
        rows, columns = (
            _linear(edges, pixels, wanted) for edges, pixels, wanted in zip((self.rows, self.columns), self.size, size)
        )
        return rows, columns


def _beside_equal(edges: Sequence[float], pixels: int) -> float:
    """How far an edge is from where it would be if cells were equal, at most, in pixels."""
    cells = len(edges) - 1
    return max(abs(edge - cell * pixels / cells) for cell, edge in enumerate(edges))


def _linear(edges: Sequence[float], pixels: int, wanted: int) -> Tensor:
    """Weights ``(wanted, cells)`` of linear interpolation between the centers of cells."""
    ends = torch.tensor(edges, dtype=torch.float64)
    centers = (ends[1:] + ends[:-1]) / 2
    places = (torch.arange(wanted, dtype=torch.float64) + 0.5) * pixels / wanted
    after = torch.searchsorted(centers, places).clamp(1, max(1, len(centers) - 1))
    weights = torch.zeros(wanted, len(centers), dtype=torch.float64)
    if len(centers) == 1:
        return weights + 1
    before = after - 1
    share = ((places - centers[before]) / (centers[after] - centers[before])).clamp(0, 1)
    weights.scatter_(1, before.unsqueeze(1), (1 - share).unsqueeze(1))
    return weights.scatter_(1, after.unsqueeze(1), share.unsqueeze(1))
