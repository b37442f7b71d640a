"""DiFull and DiPart: networks over grids of images whose logits depend on one cell, provably.

Rao, Boehle and Schiele, "Towards Better Understanding Attribution Methods", 2022 (arXiv 2205.10435), section 3.2.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from lit_coiba.backbones.backbone import Backbone
from lit_coiba.backbones.chains import chain
from lit_coiba.backbones.grids import Metadata
from lit_coiba.backbones.probe import evaluated, like
from lit_coiba.core.errors import InputError, check_count


def di_full(backbone: Backbone, n: int = 2, cell: int = 0) -> Backbone:
    """The network over grids of n x n images that sees each of them separately, and whose logits are those of one.

    Whatever a map says of another cell is wrong. The layers of a CNN are there at the size of the whole grid, joined of
    its cells, so that methods that read them run unchanged; a transformer has none, and is for methods that need logits
    or gradients only.

    Args:
        backbone: The network, for images of the size of a cell.
        n: Cells per side.
        cell: Number of the cell that the logits are of, in reading order.

    Returns:
        A network for images n times as large, with logits ``(B, K)``.

    Raises:
        InputError: There is no such cell.

    Example:
        >>> network = di_full(Backbone("resnet10t", num_classes=5, image_size=64), n=2, cell=3)
        >>> network.preprocessing.size, network(torch.zeros(1, 3, 128, 128)).shape
        ((128, 128), torch.Size([1, 5]))
    """
    _check_cell(n, cell)
    steps = _convolutions(backbone)
    return _over_grids(
        backbone, n, DiFull(backbone.model, n, cell, *steps) if steps else Alone(backbone.model, n, cell)
    )


def di_part(backbone: Backbone, n: int = 2, cell: int = 0) -> Backbone:
    """The CNN over grids of n x n images whose convolutions see the whole grid, and whose head sees one cell.

    A logit depends on its cell, and on no more around it than a receptive field.

    Args:
        backbone: The network, a CNN of timm for images of the size of a cell.
        n: Cells per side.
        cell: Number of the cell that the logits are of, in reading order.

    Returns:
        A network for images n times as large, with logits ``(B, K)``.

    Raises:
        InputError: There is no such cell, or the network is no CNN of timm.
    """
    _check_cell(n, cell)
    if not _convolutions(backbone):
        raise InputError(
            f"DiPart needs a CNN of timm, whose features lie on a grid before its head, and {backbone._title} is none:"
            " use DiFull"
        )
    return _over_grids(backbone, n, DiPart(backbone.model, n, cell))


class DiFull(nn.Module):
    """A CNN, step by step on each cell by itself, the outcomes of each step joined.

    Args:
        model: The CNN of timm.
        n: Cells per side.
        cell: Number of the cell that its head is given.
        steps: Its steps before the head.
    """

    def __init__(self, model: Any, n: int, cell: int, *steps: Any) -> None:
        super().__init__()
        self.n, self.cell = n, cell
        self.joined = nn.ModuleList([Joined(step, n) for step in steps])
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, K)`` of the cell of grids ``(B, 3, H, W)``."""
        for step in self.joined:
            images = step(images)
        logits: Tensor = self.model.forward_head(cut_out(images, self.n, self.cell))
        return logits

    def alone(self, images: Tensor) -> Tensor:
        """Logits ``(B, K)`` of images of the size of a cell."""
        logits: Tensor = self.model(images)
        return logits


class Joined(nn.Module):
    """A step of a CNN on each cell by itself, ``(B, C, n h, n w)`` -> ``(B, C', n h', n w')``.

    Args:
        step: The step, a module or a function.
        n: Cells per side.
    """

    def __init__(self, step: Any, n: int) -> None:
        super().__init__()
        self.step, self.n = step, n

    def forward(self, images: Tensor) -> Tensor:
        """The outcomes, at their places."""
        rows = images.unflatten(-2, (self.n, -1)).unflatten(-1, (self.n, -1))  # (B, C, row, h, column, w)
        done: Tensor = self.step(rows.permute(0, 2, 4, 1, 3, 5).flatten(0, 2))
        rows = done.unflatten(0, (len(images), self.n, self.n)).permute(0, 3, 1, 4, 2, 5)
        return rows.flatten(4).flatten(2, 3)


class Alone(nn.Module):
    """Any network on each cell by itself; the logits are those of one.

    All cells run, in one batch, so that no layer inside passes for one of the grid.

    Args:
        model: The network.
        n: Cells per side.
        cell: Number of the cell.
    """

    def __init__(self, model: nn.Module, n: int, cell: int) -> None:
        super().__init__()
        self.model, self.n, self.cell = model, n, cell

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, K)`` of the cell of grids ``(B, 3, H, W)``."""
        cells = torch.cat([cut_out(images, self.n, cell) for cell in range(self.n**2)])
        logits: Tensor = self.model(cells).unflatten(0, (self.n**2, -1))[self.cell]
        return logits

    def alone(self, images: Tensor) -> Tensor:
        """Logits ``(B, K)`` of images of the size of a cell."""
        logits: Tensor = self.model(images)
        return logits


class DiPart(nn.Module):
    """A CNN on the whole grid, and its head on one cell of the features.

    Args:
        model: The CNN of timm.
        n: Cells per side.
        cell: Number of the cell.
    """

    def __init__(self, model: Any, n: int, cell: int) -> None:
        super().__init__()
        self.model, self.n, self.cell = model, n, cell

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, K)`` of the cell of grids ``(B, 3, H, W)``."""
        features = self.model.forward_features(images)
        logits: Tensor = self.model.forward_head(cut_out(features, self.n, self.cell))
        return logits

    def alone(self, images: Tensor) -> Tensor:
        """Logits ``(B, K)`` of images of the size of a cell."""
        logits: Tensor = self.model(images)
        return logits


def cut_out(images: Tensor, n: int, cell: int) -> Tensor:
    """One cell of grids ``(B, C, H, W)``, ``(B, C, H / n, W / n)``.

    Example:
        >>> cut_out(torch.arange(4.0).view(1, 1, 2, 2), 2, 3).item()
        3.0
    """
    height, width = images.shape[-2] // n, images.shape[-1] // n
    row, column = divmod(cell, n)
    return images[..., row * height : (row + 1) * height, column * width : (column + 1) * width]


def _convolutions(backbone: Backbone) -> list[Any]:
    """The steps of a CNN of timm before its head, each from feature maps to feature maps; none for other networks."""
    model: Any = backbone.model
    if not hasattr(model, "forward_features") or not hasattr(model, "forward_head"):
        return []
    own, size = like(model), backbone.preprocessing.size
    if Metadata.of(model, size).channels_last:
        return []
    steps = [link.forward for link in chain(model)][:-1] or [model.forward_features]
    with evaluated(model), torch.no_grad():
        stream = torch.zeros(1, 3, *size, dtype=own.dtype, device=own.device)
        for step in steps:
            stream = step(stream)
            if stream.dim() != 4:
                return []
    return steps


def _over_grids(backbone: Backbone, n: int, module: nn.Module) -> Backbone:
    height, width = backbone.preprocessing.size
    recipe = replace(backbone.preprocessing, size=(n * height, n * width))
    return Backbone.wrap(module, recipe, backbone.num_classes)


def _check_cell(n: int, cell: int) -> None:
    check_count(2, n=n)
    if not 0 <= cell < n * n:
        raise InputError(f"cell is {cell}: give the number of one of the {n * n} cells, 0 to {n * n - 1}")
