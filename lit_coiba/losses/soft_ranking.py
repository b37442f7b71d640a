"""The area between two removal curves as a loss of a map: what the ranking of its cells is worth.

Learn to Rank, 2026 (arXiv 2604.05819): cells are removed in a soft order, so that insertion and deletion have a
gradient with respect to the map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, interpolate, pad

from lit_coiba.core.targets import Resolved
from lit_coiba.functional import blur_images, noise, resize_map
from lit_coiba.functional.noise import uniform
from lit_coiba.functional.sinkhorn import removed_first, soft_order
from lit_coiba.perturbation.baselines import BaselineImages

Reference = Literal["black", "mean", "blur"]  # what stands in the place of removed cells, one a step
Probability = Callable[[Tensor, slice], Tensor]  # of images that replace some of the batch: of each one's class, (r,)

SIDES = 7, 28  # of the grids of cells, of which each step draws one
SHIFT = 0.5  # of a cell, by which the grid is moved at most
CURVE = 16  # points of a removal curve
BLUR = 1.0  # standard deviation of the edges of removed cells, in pixels
ROUGH, BOX = 0.0025, 15  # weight of what stands out from its neighborhood, and the neighborhood's side in pixels
WINDOW = 37  # pixels of the window of the blurred reference, and its standard deviation
_PIECE = 4  # images whose soft orders are in memory at once


@dataclass(frozen=True)
class SoftRanking:
    """The loss of a map for some images: its own curve should fall, and that of the reversed map stay up.

    Args:
        temperature: Softness of the order.
        seed: Seed of the grid, its place, the reference and the noise of the order.
        step: Step of the training, which they depend on too.
        sides: Fewest and most rows and columns of the grid.
        points: Number of points of a curve.
    """

    temperature: float = 0.3
    seed: int = 0
    step: int = 0
    sides: tuple[int, int] = SIDES
    points: int = CURVE

    def of(
        self, maps: Tensor, images: Tensor, references: Callable[[Reference], Tensor], probability: Probability
    ) -> Tensor:
        """Loss of each map, ``(B,)``, whose gradient reaches the maps; nothing is kept of the network's graph.

        Args:
            maps: ``(B, h, w)``.
            images: Model input ``(B, 3, H, W)``.
            references: Images without anything, ``(B, 3, H, W)``, by their name.
            probability: Probability of what is explained.
        """
        draws = uniform(noise(self.seed, self.step, 0, (4,))).tolist()
        size = (images.shape[-2], images.shape[-1])
        fewest, most = (min(side, *size) for side in self.sides)
        side = min(most, fewest + int(draws[0] * (most - fewest + 1)))
        kinds = get_args(Reference)
        reference = references(kinds[min(len(kinds) - 1, int(draws[1] * len(kinds)))])
        shift = [round((2 * draw - 1) * SHIFT * pixels / side) for draw, pixels in zip(draws[2:], size)]
        fine = resize_map(maps, size)
        cells = adaptive_avg_pool2d(_moved(fine.unsqueeze(1), shift), side).flatten(1)
        gumbel = -(-uniform(noise(self.seed, self.step, 1, (side**2, side**2))).clamp(1e-6, 1 - 1e-6).log()).log()
        found = []
        for start in range(0, len(maps), _PIECE):
            rows = slice(start, min(len(maps), start + _PIECE))

            def without(mask: Tensor, rows: slice = rows) -> Tensor:
                fine = _moved(interpolate(mask.unsqueeze(1), size=size, mode="nearest"), [-one for one in shift])
                gone = blur_images(fine, "gaussian", 2 * round(3 * BLUR) + 1, BLUR)
                return probability(images[rows] + gone * (reference[rows] - images[rows]), rows)

            found.append(self._sloped(cells[rows].detach(), side, gumbel.to(cells), without))
        value, slope = (torch.cat(parts) for parts in zip(*found))
        ranked = value + (slope * (cells - cells.detach())).sum(1)  # the second part is 0, and has the gradient
        around = avg_pool2d(fine.unsqueeze(1), BOX, 1, BOX // 2, count_include_pad=False).squeeze(1)
        return ranked + ROUGH * torch.relu(fine - around).square().flatten(1).mean(1)

    def _sloped(
        self, cells: Tensor, side: int, gumbel: Tensor, without: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Area of the curve, plus one less that of the reversed map's, ``(r,)``, and its gradient in the cells."""
        leaf, value = cells.requires_grad_(True), cells.new_ones(len(cells))
        for sign in (1, -1):
            order = soft_order(sign * leaf, self.temperature, gumbel)
            area, slopes = self._area(order.detach(), side, without)
            value = value + sign * area
            (order * (sign * slopes)).sum().backward(inputs=[leaf])
        assert leaf.grad is not None
        return value, leaf.grad

    def _area(self, order: Tensor, side: int, without: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Area under the curve of a soft order ``(r,)``, and its gradient in the order ``(r, N, N)``."""
        leaf = order.requires_grad_(True)
        masks = removed_first(leaf, torch.linspace(0, 1, self.points, device=order.device))
        weights = [1 / (self.points - 1)] * self.points
        weights[0] = weights[-1] = weights[0] / 2  # a trapezoid
        value, slopes = order.new_zeros(len(order)), []
        for weight, mask in zip(weights, masks.detach()):
            point = mask.unflatten(-1, (side, side)).requires_grad_(True)
            found = without(point)
            slopes.append(weight * torch.autograd.grad(found.sum(), point)[0].flatten(1))
            value = value + weight * found.detach()
        (slope,) = torch.autograd.grad(masks, leaf, torch.stack(slopes))
        return value, slope


def ranking_loss(ranking: SoftRanking, model: Any, maps: Tensor, images: Tensor, targets: Resolved) -> Tensor:
    """The loss of maps of a model, ``(B,)``, in the graph of the maps.

    Args:
        ranking: The loss.
        model: The model, frozen.
        maps: ``(B, h, w)``.
        images: Model input ``(B, 3, H, W)``.
        targets: A row for each image; what counts is ``exp(-fidelity)``, the probability of a class.
    """

    def reference(kind: Reference) -> Tensor:
        window = min(WINDOW, 2 * min(images.shape[-2:]) - 1)  # a reflected border is no wider than the image
        return BaselineImages(kind, "pixels", blur_size=window, blur_sigma=float(WINDOW)).of(images, model)

    def probability(changed: Tensor, rows: slice) -> Tensor:
        return torch.exp(-targets.take(rows).fidelity(model(changed)))

    with torch.enable_grad():
        return ranking.of(maps, images, reference, probability)


def _moved(maps: Tensor, shift: list[int]) -> Tensor:
    """Maps ``(B, 1, H, W)`` moved by some pixels; what comes in repeats the border."""
    down, right = shift
    wide = pad(maps, (max(right, 0), max(-right, 0), max(down, 0), max(-down, 0)), mode="replicate")
    top, left = max(-down, 0), max(-right, 0)
    return wide[..., top : top + maps.shape[-2], left : left + maps.shape[-1]]
