"""What the single deletion scores share: cells are removed one at a time, once for all maps."""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.functional import cell_values, fp64_where_possible, spearman
from lit_coiba.metrics.faithfulness.removal import Removal
from lit_coiba.metrics.maps import constant

CELLS = 4  # a side, as the authors'


def single_deletion(removal: Removal, maps: Tensor, grid_size: int) -> Tensor:
    """Spearman's correlation of a map's sums over cells with the drops of the score without each, ``(B,)``.

    Args:
        removal: The images, whose parts can be removed.
        maps: ``(B, h, w)``.
        grid_size: Cells a side.

    Raises:
        InputError: A cell would be smaller than a pixel.
    """
    grid = removal.grid(grid_size)
    count, cells = grid[0] * grid[1], removal.cells(grid)

    def drops() -> Tensor:
        def one(_: Tensor, copies: Tensor) -> Tensor:
            return copies.unsqueeze(1) == torch.arange(count, device=copies.device)

        return removal.clean.unsqueeze(1) - removal.cell_scores(count, cells, one)

    lost = removal.shared(("drops of cells", grid), drops)
    found = spearman(cell_sums(maps, cells, grid), lost)
    undefined = constant(maps) | ~lost.isfinite().all(1)
    return found.masked_fill(undefined, torch.nan).to(lost.dtype)


def cell_sums(maps: Tensor, cells: Tensor, grid: tuple[int, int]) -> Tensor:
    """Sums of maps ``(B, h, w)`` over cells, ``(B, number of cells)``, fp64 where possible.

    Args:
        maps: At any resolution; one at that of the cells' places is added up place by place.
        cells: Number of the cell at each place, row by row.
        grid: Rows and columns of cells.
    """
    values, numbers = fp64_where_possible(maps), cells.flatten()
    if maps.shape[-2:] != cells.shape:
        sizes = numbers.bincount(minlength=grid[0] * grid[1])
        return cell_values(values, grid).flatten(1) * sizes
    return values.new_zeros(len(maps), grid[0] * grid[1]).index_add_(1, numbers, values.flatten(1))


def check_cells(grid_size: int, size: tuple[int, int]) -> None:
    """Refuse a grid that is finer than the pixels of an image.

    Raises:
        InputError: It is.
    """
    if grid_size > min(size):
        raise InputError(f"grid_size is {grid_size}, but images have {size[0]} x {size[1]} pixels: give fewer")
