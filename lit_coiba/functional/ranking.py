"""Which pixels, or cells, a map puts first."""

from typing import Literal

import torch
from torch import Tensor

from lit_coiba.functional.maps import resize_map


def ranks(values: Tensor, ties: Literal["first", "last"] = "first") -> Tensor:
    """Place of each entry in descending order, 0 = largest; ``(B, ...)`` -> int64 ``(B, ...)``.

    Args:
        values: What to rank, per sample; -values ranks the smallest first.
        ties: Which of equal entries comes first: the ``first`` in row-major order, as in ``argsort(-values,
            stable=True)``, or the ``last``, as in the flipped ascending order of RISE and Xplique.

    Example:
        >>> ranks(torch.tensor([[0.5, 0.9, 0.5]]))
        tensor([[1, 0, 2]])
    """
    flat = values.flatten(1)
    if ties == "first":
        order = torch.argsort(-flat, dim=1, stable=True)
    else:
        order = torch.argsort(flat, dim=1, stable=True).flip(1)
    places = torch.arange(flat.shape[1], device=values.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places).view(values.shape)


def cell_values(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Maps ``(B, h, w)`` on another grid ``(B, *grid)``: themselves on their own, else area means, enlarged first.

    A finer map is averaged over the area of each cell, also where cells do not divide it; a coarser one is enlarged by
    `resize_map`.

    Example:
        >>> cell_values(torch.tensor([[[0.0, 1.0, 4.0]]]), (1, 2))
        tensor([[[0.3333, 3.0000]]])
    """
    enlarged = (max(maps.shape[-2], grid[0]), max(maps.shape[-1], grid[1]))
    if tuple(maps.shape[-2:]) != enlarged:
        maps = resize_map(maps, enlarged)
    if enlarged[0] != grid[0]:
        rows = _shares(enlarged[0], grid[0], maps)
        maps = torch.stack([(row.unsqueeze(-1) * maps).sum(-2) for row in rows], -2)
    if enlarged[1] != grid[1]:
        columns = _shares(enlarged[1], grid[1], maps)
        maps = torch.stack([(column * maps).sum(-1) for column in columns], -1)
    return maps


def spread_cells(values: Tensor, size: tuple[int, int]) -> Tensor:
    """The value of its cell at every pixel: ``(B, h, w)`` -> ``(B, H, W)``; pixel i of H lies in cell ``i * h // H``.

    Example:
        >>> spread_cells(torch.tensor([[[1, 2]]]), (1, 4))
        tensor([[[1, 1, 2, 2]]])
    """
    if tuple(values.shape[-2:]) == tuple(size):
        return values
    rows, columns = (
        torch.arange(pixels, device=values.device) * cells // pixels for cells, pixels in zip(values.shape[-2:], size)
    )
    return values.index_select(-2, rows).index_select(-1, columns)


def _shares(entries: int, cells: int, like: Tensor) -> Tensor:
    """How much of each cell an entry covers, ``(cells, entries)``; rows sum to 1."""
    edges = torch.arange(entries, dtype=torch.float64) / entries
    starts = torch.arange(cells, dtype=torch.float64).unsqueeze(-1) / cells
    overlap = torch.minimum(edges + 1 / entries, starts + 1 / cells) - torch.maximum(edges, starts)
    return (overlap.clamp_min(0) * cells).to(like.dtype).to(like.device)  # in this order: MPS has no fp64
