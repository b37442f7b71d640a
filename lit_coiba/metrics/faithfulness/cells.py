"""The parts of images that are removed as a whole: cells of a grid, or any other way to divide them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.functional import cell_values, fp64_where_possible, resize_map, spread_cells, without_rounding
from lit_coiba.metrics.faithfulness.removal import Removal

GridSize = int | tuple[int, int]


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of B images on the canvas of a `Removal`; all images have n numbers, some of which may be of no cell."""

    numbers: Tensor  # canvas, or (B, *canvas), int64: cell of each place
    shares: Tensor  # (B, n) fp64: share of the image, 0 = this image has no such cell
    size: tuple[int, int]  # of the images in pixels
    grid: tuple[int, int] | None = None  # rows and columns, where the cells are those of `spread_cells`

    @classmethod
    def of_grid(cls, removal: Removal, grid: tuple[int, int] | None) -> Cells:
        """Cells of a grid; None = every place of the canvas, a pixel or a patch, is a cell.

        Raises:
            InputError: The grid does not fit.
        """
        grid = removal.canvas if grid is None else grid
        return cls.of_numbers(removal, removal.cells(grid), grid)

    @classmethod
    def of_numbers(cls, removal: Removal, numbers: Tensor, grid: tuple[int, int] | None = None) -> Cells:
        """Cells that are numbered from 0, ``canvas`` or ``(B, *canvas)``."""
        rows = numbers.reshape(-1, numbers.shape[-2] * numbers.shape[-1])
        places = torch.zeros(len(rows), int(rows.max()) + 1, device=rows.device)
        places = places.scatter_add_(1, rows, torch.ones_like(rows, dtype=places.dtype))
        shares = fp64_where_possible(places) / rows.shape[1]
        return cls(numbers, shares.expand(len(removal.images), -1), removal.size, grid)

    def means(self, maps: Tensor) -> Tensor:
        """Mean of each map over each cell ``(B, n)``, fp64; -inf where an image has no such cell.

        A map on a grid that the cells divide is averaged on it, any other one at the pixels. What differs by rounding
        alone is equal.
        """
        values = fp64_where_possible(maps)
        if self.grid is not None and not any(m % g for m, g in zip(maps.shape[-2:], self.grid)):
            return without_rounding(cell_values(values, self.grid).flatten(1))
        if tuple(maps.shape[-2:]) != self.size:
            values = resize_map(values, self.size)
        numbers = self.numbers.expand(len(maps), *self.numbers.shape[-2:])
        numbers = spread_cells(numbers, self.size).flatten(1)
        sums = values.new_zeros(self.shares.shape).scatter_add_(1, numbers, values.flatten(1))
        means = without_rounding(sums / (self.shares * values[0].numel()))
        return means.masked_fill(self.shares == 0, -torch.inf)

    def sums(self, maps: Tensor) -> Tensor:
        """Sum of each map over the pixels of each cell ``(B, n)``, fp64; 0 where an image has no such cell."""
        pixels = self.shares * (self.size[0] * self.size[1])
        return torch.where(self.shares > 0, self.means(maps) * pixels, 0)


def checked_grid(grid_size: GridSize | None, name: str = "grid_size") -> GridSize | None:
    """A grid as it was given, with whole numbers.

    Args:
        grid_size: Rows and columns, or one number for both.
        name: Name of the argument.

    Raises:
        InputError: There is no cell.
    """
    if grid_size is None:
        return None
    found: GridSize = grid_size if isinstance(grid_size, int) else (int(grid_size[0]), int(grid_size[1]))
    if min(grid_of(found)) < 1:
        raise InputError(f"{name} is {grid_size}: give 1 or more in height and width")
    return found


def grid_of(grid_size: GridSize) -> tuple[int, int]:
    """Rows and columns.

    Example:
        >>> grid_of(7), grid_of((3, 4))
        ((7, 7), (3, 4))
    """
    return (grid_size, grid_size) if isinstance(grid_size, int) else grid_size


def refuse_small(size: tuple[int, int], grid_size: GridSize) -> None:
    """Refuse images of `size`, height and width in pixels, that have less pixels than cells.

    Raises:
        InputError: They have.
    """
    rows, columns = grid_of(grid_size)
    if rows > size[0] or columns > size[1]:
        raise InputError(
            f"grid_size is {rows} x {columns}, but images have {size[0]} x {size[1]} pixels: give fewer cells"
        )
