"""Where in the picture a place of a grid lies: two images differ in two places, and so should a layer's activations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lit_coiba.core.grid import Grid

SHARP = 0.5  # share of the difference that the few largest cells hold, where it has not spread yet
ELSEWHERE = 0.1  # share of the difference that may lie where the picture was changed, if the places are others
LOOKED_AT = 8  # first layers of a grid among which one is looked for whose difference has not spread
SMALLEST = 3  # cells along a side from which on a transposed grid shows


class Plants(NamedTuple):
    """Two places, far from each other, which no other order of tokens maps onto themselves."""

    size: tuple[int, int]  # height and width of the images in pixels
    cells: tuple[int, int]  # of the grid whose cells they fill

    @property
    def places(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Row and column of both: the first pair whose cells are others in every order that tokens may be in."""
        height, width = self.cells
        first = (height // 4, (5 * width) // 8)
        for row in range(height - 1, 0, -1):
            for column in range(1, width):
                pair = first, (row, column)
                far = abs(row - first[0]) > height // 4 and abs(column - first[1]) > width // 4
                if far and all(set(pair).isdisjoint(other) for other in self._orders(pair)):
                    return pair
        return first, (height - 1, 1)

    def _orders(self, pair: tuple[tuple[int, int], ...]) -> Iterator[list[tuple[int, int]]]:
        """Where two cells seem to be if they are read in another order: by columns, mirrored, shifted by one."""
        height, width = self.cells
        yield [divmod(column * height + row, width) for row, column in pair]
        yield [(column, row) for row, column in pair]
        for rows, columns in ((1, 0), (0, 1), (1, 1)):
            yield [(height - 1 - r if rows else r, width - 1 - c if columns else c) for r, c in pair]
        for step in (-1, 1):
            yield [divmod(row * width + column + step, width) for row, column in pair]

    def on(self, cells: tuple[int, int], margin: int = 0) -> Tensor:
        """Cells of another grid that one of the places lies on, ``(h, w)`` bool, and their neighbors up to `margin`."""
        found = torch.zeros(cells, dtype=torch.bool)
        for place in self.places:
            (top, bottom), (left, right) = (
                (p * n // own, -(-(p + 1) * n // own)) for p, own, n in zip(place, self.cells, cells)
            )
            found[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin] = True
        return found


def reference_grid(grids: dict[str, Grid]) -> tuple[int, int]:
    """The grid whose cells are filled: that of the first tokens, else the coarsest that tells places apart."""
    tokens = [grid for grid in grids.values() if grid.layout == "tokens"]
    wide = [g for g in (*tokens, *reversed(grids.values())) if min(g.height, g.width) >= SMALLEST]
    return (wide[0].height, wide[0].width) if wide else (SMALLEST, SMALLEST)


def planted(noise: Tensor, plants: Plants) -> Tensor:
    """The first image of a pair ``(2, 3, H, W)`` twice, changed in one place each."""
    images = noise[:1].repeat(2, 1, 1, 1)
    for image, (row, column) in zip(images, plants.places):
        rows, columns = (
            slice(place * pixels // cells, (place + 1) * pixels // cells)
            for place, pixels, cells in zip((row, column), plants.size, plants.cells)
        )
        image[:, rows, columns] = 3 * noise[1, :, rows, columns]
    return images


def misplaced(energies: dict[str, Tensor], grids: dict[str, Grid], plants: Plants) -> dict[str, str]:
    """Layers in which the difference lies somewhere else, and what was seen.

    Layers with the same places share a verdict, that of the first in which the difference has not spread.

    Args:
        energies: Layer -> squared difference at each of its places, ``(h, w)``.
        grids: All layers.
        plants: Where the two images differ.
    """
    groups: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for name, grid in grids.items():
        if name in energies:
            groups[grid.layout, grid.height, grid.width, grid.num_prefix_tokens].append(name)
    found: dict[str, str] = {}
    for (layout, *cells, _), names in groups.items():
        exact = layout == "tokens" and tuple(cells) == plants.cells
        if min(cells) < SMALLEST:
            continue
        expected = plants.on((cells[0], cells[1]))
        around = expected if exact else plants.on((cells[0], cells[1]), 2)
        first = next((energies[n] for n in names[:LOOKED_AT] if _sharp(energies[n], int(expected.sum()))), None)
        if first is not None and float(first[around.to(first.device)].sum() / first.sum()) < ELSEWHERE:
            found |= dict.fromkeys(names, _seen(first, plants))
    return found


def _sharp(energy: Tensor, count: int) -> bool:
    total = energy.sum()
    return bool(total.isfinite() and total > 0 and energy.flatten().topk(count).values.sum() >= SHARP * total)


def _seen(energy: Tensor, plants: Plants) -> str:
    height, width = energy.shape
    there = " and ".join(
        f"row {place // width}, column {place % width}" for place in sorted(energy.flatten().topk(2).indices.tolist())
    )
    here = " and ".join(f"row {row}, column {column}" for row, column in plants.places)
    return (
        f"a change of the picture at {here} of {plants.cells[0]} x {plants.cells[1]} cells shows at {there} of its"
        f" {height} x {width}"
    )
