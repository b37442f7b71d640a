"""Pages of optimized images, and the same for TensorBoard."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lit_coiba.callbacks.unwritable import unwritable_is_a_warning
from lit_coiba.feature_visualization.visualization_item import VisualizationItem
from lit_coiba.feature_visualization.visualization_run import VisualizationRun
from lit_coiba.files.png import is_our_png
from lit_coiba.pictures.visualization_grid import Panels, panel_grid
from lit_coiba.trainer.event_log import add_picture, event_log

ON_A_PAGE, COLUMNS = 24, 4
NAME = "visualizations"


def draw_visualizations(run: VisualizationRun, keys: Collection[str]) -> list[Path]:
    """Draw some items on pages, in place of those of an earlier call; pictures are read page by page.

    Args:
        run: The folder.
        keys: Keys of the items to draw.

    Returns:
        The pages: visualizations.png, visualizations_02.png, ...
    """
    items = [item for item in run.items if item.key in keys]
    pages: list[Path] = []
    with unwritable_is_a_warning("the pages"):
        for start in range(0, len(items), ON_A_PAGE):
            suffix = f"_{len(pages) + 1:02d}" if start else ""
            pages.append(_page(run, items[start : start + ON_A_PAGE], run.path / f"{NAME}{suffix}.png"))
        for old in run.path.glob(f"{NAME}_*.png"):
            if old not in pages and is_our_png(old):
                old.unlink(missing_ok=True)
    _log(run, items, pages)
    return pages


def _page(run: VisualizationRun, items: list[VisualizationItem], file: Path) -> Path:
    both = [pixels_of(run, item.key) for item in items]
    panels = Panels(
        torch.stack([one[0] for one in both]),
        torch.stack([one[1] for one in both]),
        torch.tensor([item.score_last for item in items]),
    )
    title = f"{items[0].method}, {items[0].steps} steps"
    return panel_grid({"": panels}, [item.name for item in items], file, min(COLUMNS, len(items)), title)


def pixels_of(run: VisualizationRun, key: str) -> tuple[Tensor, Tensor]:
    """The image ``(3, H, W)`` and its opacity ``(H, W)``, in [0, 1]."""
    rgb, rgba = np.array(run.picture(key)), np.array(run.transparency(key))
    return torch.from_numpy(rgb).permute(2, 0, 1) / 255, torch.from_numpy(rgba[..., 3]) / 255


def _log(run: VisualizationRun, items: list[VisualizationItem], pages: list[Path]) -> None:
    """The pages as images; what is known of all items together as scalars."""
    if not items:
        return
    with event_log(run.path) as writer:
        for name in ("score_first", "score_last", "held_out", "held_out_real", "plausibility"):
            values = [value for item in items if (value := getattr(item, name)) is not None]
            if values:
                writer.add_scalar(f"{NAME}/{name}", sum(values) / len(values), 0)
        if run.measures is not None and run.measures.fid is not None:
            writer.add_scalar(f"{NAME}/fid", run.measures.fid, 0)
        for page in pages:
            with suppress(FileNotFoundError):  # another run draws it anew
                add_picture(writer, page.stem, page)
