"""Grids of images as a dataset: each cell of each grid is a sample, whose object is the cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from lit_coiba.core.class_identity import class_identity
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.transforms import Transform
from lit_coiba.functional import noise


class GridCells(ImageDataset):
    """Sample ``grid0007/2`` is grid 7 with the label of its cell 2, and its region is that cell.

    Args:
        source: The images of the cells.
        grids: Numbers of the images of each grid, n * n in reading order.
        n: Cells per side.
        cell: Transform from a picture to a cell.
        places: Cells of each grid that are samples; None = all.
    """

    def __init__(
        self,
        source: ImageDataset,
        grids: Sequence[Sequence[int]],
        n: int,
        cell: Transform,
        places: Sequence[int] | None = None,
    ) -> None:
        self.source = source
        self.grids = [list(grid) for grid in grids]
        self.n = n
        self.cell = cell
        shown = range(n * n) if places is None else sorted(set(places))
        self._places = [(grid, place) for grid in range(len(grids)) for place in shown]
        wide, long = max(len(str(len(grids))), 4), len(str(n * n - 1))
        self.ids = [f"grid{grid:0{wide}d}/{place:0{long}d}" for grid, place in self._places]
        self.labels = [source.labels[self.grids[grid][place]] for grid, place in self._places]
        self.classes = source.classes
        self._last: tuple[int, Image.Image] | None = None  # the grid that the next sample is most likely of

    def image(self, index: int) -> Image.Image:
        """The whole grid as an RGB image."""
        grid, _ = self._places[index]
        if self._last is None or self._last[0] != grid:
            cells = torch.stack([self.cell.pixels(self.source.image(number)) for number in self.grids[grid]])
            rows = cells.unflatten(0, (self.n, self.n)).permute(2, 0, 3, 1, 4)  # (3, row, h, column, w)
            self._last = grid, F.to_pil_image(rows.flatten(3).flatten(1, 2))
        return self._last[1].copy()

    def region(self, index: int) -> Tensor:
        """The cell, ``(H, W)`` bool."""
        height, width = self.cell.preprocessing.size
        row, column = divmod(self._places[index][1], self.n)
        mask = torch.zeros(self.n * height, self.n * width, dtype=torch.bool)
        mask[row * height : (row + 1) * height, column * width : (column + 1) * width] = True
        return mask

    def identity(self) -> dict[str, Any]:
        """What decides the grids beside the images in them."""
        own = {"class": class_identity(type(self)), "cell": self.cell.preprocessing.identity()}
        return {**own, "source": self.source.identity()}

    def files(self, index: int) -> Sequence[Path]:
        """The files of all images of the grid."""
        return [file for number in self.grids[self._places[index][0]] for file in self.source.files(number)]

    def version(self, index: int) -> str:
        """Which images are in the grid, and their versions."""
        told = [(self.source.ids[number], self.source.version(number)) for number in self.grids[self._places[index][0]]]
        return "; ".join(f"{name} {version}".rstrip() for name, version in told)

    def region_version(self, index: int) -> str:
        """The number of the cell."""
        return f"{self._places[index][1]} of {self.n} by {self.n}"


def drawn_grids(
    labels: Sequence[int], passed: Sequence[int], cells: int, count: int, seed: int, same_class: bool = False
) -> list[list[int]]:
    """Grids of images of distinct classes, no image twice, as many as there are but at most `count`.

    The classes of a grid are those of which most images are left, so that nothing is left over in vain; among equals,
    and of the images of a class, the seed decides. The first grids are the same whatever `count` is.

    Args:
        labels: Class of every image.
        passed: Numbers of the images that may be used.
        cells: Images per grid.
        count: Number of grids.
        seed: Seed of the draw.
        same_class: Whether the first and the last image of a grid are of one class.

    Example:
        >>> drawn_grids([0, 0, 1, 1, 1], range(5), 2, 9, seed=0)
        [[0, 4], [1, 2]]
    """
    order = noise(seed, 0, 0, (len(labels),)).tolist()
    left: dict[int, list[int]] = {}
    for number in sorted(passed, key=lambda number: order[number]):
        left.setdefault(labels[number], []).append(number)
    classes, found = sorted(left), list[list[int]]()
    while len(found) < count:
        keys = dict(zip(classes, noise(seed, len(found), 1, (len(classes),)).tolist()))
        chosen = sorted(classes, key=lambda name: (-len(left[name]), keys[name]))[: cells - same_class]
        if len(chosen) < cells - same_class or not all(left[name] for name in chosen):
            break
        if same_class and len(left[chosen[0]]) < 2:  # of the first class most images are left
            break
        ordered = sorted(chosen[same_class:], key=lambda name: keys[name])
        ordered = [chosen[0], *ordered, chosen[0]] if same_class else ordered
        found.append([left[name].pop() for name in ordered])
    return found
