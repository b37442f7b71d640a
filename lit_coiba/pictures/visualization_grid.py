"""Optimized images in a grid: each as it is, and with what mattered for it opaque and the rest transparent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, check_count
from lit_coiba.feature_visualization.visualizations import Visualizations
from lit_coiba.pictures.numbers import rounded
from lit_coiba.pictures.page import FADED, Page, fitted

SIDE = 192  # pixels, of the longer side of a panel
NOTE = "Right: opaque where the gradients were large. Contrast is stretched (1st to 99th percentile)."

_GAP, _MARGIN, _NAME, _CAPTION, _HEADER, _FOOTER = 4, 16, 20, 18, 24, 18


def visualization_grid(
    found: Visualizations | Mapping[str, Visualizations], file: str | Path, columns: int = 2, title: str = ""
) -> Path:
    """Draw optimized images: a cell for each objective, with two panels for each method beside one another.

    The number below a panel is the objective's mean over the crops of the last step.

    Args:
        found: What `FeatureVisualizer.visualize` returned, or several of the same objectives by the name of the method.
        file: The PNG to write.
        columns: Number of objectives side by side.
        title: Line above the grid, such as the name of the model.

    Returns:
        The file.

    Raises:
        InputError: There is nothing to draw, or the methods have other objectives.
    """
    methods = {"": found} if isinstance(found, Visualizations) else dict(found)
    names = next(iter(methods.values())).names if methods else ()
    if not names or any(one.names != names for one in methods.values()):
        raise InputError("found has no images, or images of different objectives: give results of the same objectives")
    panels = {name: Panels(one.stretched(), one.alpha, one.scores[:, -1]) for name, one in methods.items()}
    return panel_grid(panels, names, file, columns, title)


class Panels(NamedTuple):
    """What is drawn of one method."""

    images: Tensor  # (B, 3, H, W) RGB in [0, 1], with full contrast
    alpha: Tensor  # (B, H, W) opacity in [0, 1]
    scores: Tensor  # (B,) number below each


def panel_grid(
    methods: Mapping[str, Panels], names: Sequence[str], file: str | Path, columns: int = 2, title: str = ""
) -> Path:
    """Draw images whose contrast is stretched already; see `visualization_grid`.

    Args:
        methods: Panels of the same objectives by the name of the method.
        names: Names of the objectives.
        file: The PNG to write.
        columns: Number of objectives side by side.
        title: Line above the grid.

    Returns:
        The file.
    """
    check_count(columns=columns)
    height, width = _panel_size(next(iter(methods.values())).images)
    cell = (2 * len(methods) * (width + _GAP) - _GAP, _NAME + height + _CAPTION + _GAP)
    columns = min(columns, len(names))
    lines = -(-len(names) // columns)
    header = _HEADER if title else 0
    page = Page(
        2 * _MARGIN + columns * (cell[0] + _MARGIN) - _MARGIN, _MARGIN + header + lines * cell[1] + _FOOTER + _MARGIN
    )
    if title:
        page.text(_MARGIN, _MARGIN + 12, title, page.width - 2 * _MARGIN, 12, bold=True)
    for number, name in enumerate(names):
        left = _MARGIN + number % columns * (cell[0] + _MARGIN)
        top = _MARGIN + header + number // columns * cell[1]
        page.text(left, top + 12, name, cell[0], 9.5, bold=True)
        for place, (method, one) in enumerate(methods.items()):
            images, alpha = (part[number].detach().float().cpu() for part in one[:2])
            x, y = left + 2 * place * (width + _GAP), top + _NAME
            for offset, pixels in enumerate((images, on_white(images, alpha))):
                drawn = fitted((pixels * 255).round().to(torch.uint8), (height, width))
                page.picture(x + offset * (width + _GAP), y, drawn)
            told = f"{method}: " if method else ""
            page.text(x, y + height + 12, f"{told}{rounded(float(one.scores[number]))}", 2 * width, 8, FADED)
    page.text(_MARGIN, page.height - _MARGIN, NOTE, page.width - 2 * _MARGIN, 8, FADED)
    return page.save(file)


def on_white(pixels: Tensor, alpha: Tensor) -> Tensor:
    """Pixels ``(..., 3, H, W)`` in [0, 1] over white, as opaque as ``(..., H, W)`` says.

    Example:
        >>> on_white(torch.zeros(3, 1, 2), torch.tensor([[0.25, 1.0]]))[0]
        tensor([[0.7500, 0.0000]])
    """
    return 1 - alpha.unsqueeze(-3) * (1 - pixels)


def _panel_size(images: Tensor) -> tuple[int, int]:
    """Height and width of a panel, its longer side being `SIDE`."""
    height, width = images.shape[-2:]
    return max(1, round(SIDE * height / max(height, width))), max(1, round(SIDE * width / max(height, width)))
