"""What tests of metrics that remove parts of images share: models whose drops are known, and slow loops over cells."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Additive(nn.Module):
    """Logits that are weighted sums of the pixels, one for each row of `weight`; `seen` counts images."""

    def __init__(self, weight: Any, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = torch.as_tensor(weight, dtype=torch.float64)  # (K, C, H, W)
        self.bias = bias
        self.seen: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        return (images.unsqueeze(1) * self.weight).sum((2, 3, 4)) + self.bias


def row(contributions: Sequence[float]) -> tuple[Additive, Tensor, Tensor]:
    """A model, an image ``(1, 1, 1, n)`` of twos, and its map of exact contributions ``(1, 1, n)``."""
    exact = torch.tensor(contributions, dtype=torch.float64)
    images = torch.full((1, 1, 1, len(exact)), 2.0, dtype=torch.float64)
    return Additive(exact.view(1, 1, 1, -1) / 2), images, exact.view(1, 1, -1)


def cell_of(place: tuple[int, int], grid: tuple[int, int], size: tuple[int, int]) -> int:
    """Number of the cell that a pixel lies in: nearest enlargement."""
    return (place[0] * grid[0] // size[0]) * grid[1] + place[1] * grid[1] // size[1]


def without(image: Tensor, gone: Callable[[int], bool], grid: tuple[int, int], value: float = 0.0) -> Tensor:
    """An image ``(C, H, W)`` whose pixels in some cells have another value."""
    changed, size = image.clone(), (image.shape[-2], image.shape[-1])
    for i in range(size[0]):
        for j in range(size[1]):
            if gone(cell_of((i, j), grid, size)):
                changed[:, i, j] = value
    return changed


def cell_totals(map: Tensor, grid: tuple[int, int]) -> list[list[float]]:
    """Values of a map ``(H, W)`` in each cell."""
    values: list[list[float]] = [[] for _ in range(grid[0] * grid[1])]
    for i in range(map.shape[0]):
        for j in range(map.shape[1]):
            values[cell_of((i, j), grid, (map.shape[0], map.shape[1]))].append(float(map[i, j]))
    return values


def logit(model: nn.Module, image: Tensor, target: int) -> float:
    """One image, one forward, in evaluation mode."""
    with torch.no_grad():
        return float(copy.deepcopy(model).eval()(image[None])[0, target])
