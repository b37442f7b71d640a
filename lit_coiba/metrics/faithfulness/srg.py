"""SRG: how much longer a score lives when the unimportant parts are removed first than when the important ones are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.functional import log_counts, relevance_gain, step_counts
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.faithfulness.both_orders import both_orders
from lit_coiba.metrics.faithfulness.cells import Cells, GridSize, checked_grid, grid_of, refuse_small
from lit_coiba.metrics.faithfulness.removal import OUTPUT, Output, Removal, Removed
from lit_coiba.metrics.faithfulness.removal_metric import RemovalMetric
from lit_coiba.perturbation.baselines import Space
from lit_coiba.perturbation.segments import Segments, superpixels

GRID = 7  # ours; the authors have 25 superpixels
SUPERPIXELS = 5  # its square is the number


class SRG(RemovalMetric):
    """Symmetric relevance gain: area of "least important first" less that of "most important first", at one baseline.

    Bluecher, Vielhaben and Strodthoff, "Decoupling Pixel Flipping and Occlusion Strategy for Consistent XAI
    Benchmarks", TMLR 2024 (arXiv 2401.06654). What removing parts does by itself is in both curves and cancels: a
    random order has 0 in expectation at any baseline. Cells are removed one by one in the order of the map's mean over
    them, and in exactly the reverse of it; the area is over the share of the image that is really gone. With equal
    cells removed one by one this is insertion minus deletion at one baseline; a difference of two baselines is
    something else. `ROMS` says how much the baseline itself disturbs, and belongs beside it.

    Args:
        grid_size: Rows and columns of cells, or one number for both. None = 7 (ours), with tokens the finest up to that
            which splits no patch, and 5 with ``slic``.
        segments: Way to divide images: a ``grid``, or superpixels (``slic``), about ``grid_size ** 2`` of them, as the
            authors do.
        steps: Number of steps; None = cell by cell.
        log_steps: Number of steps whose counts are spaced logarithmically instead; the authors have 15.
        baseline: See `RemovalMetric`.
        output: See there.
        space: See there.
        chunk: See there.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: An argument that is not among its choices or out of range.

    Example:
        >>> images, maps = torch.tensor([[[[0.4, 0.3, 0.2, 0.1]]]]), torch.tensor([[[4.0, 3.0, 2.0, 1.0]]])
        >>> total = lambda images: images.sum((1, 2, 3)).unsqueeze(1)
        >>> SRG(grid_size=(1, 4), output="logit").score(total, images, None, maps)
        tensor([0.2500])
    """

    card = MetricCard(
        "faithfulness",
        "Bluecher, Vielhaben and Strodthoff, 2024 (arXiv 2401.06654)",
        higher_is_better=True,
        range="-1 to 1 as a probability",
        cost="2 x steps forwards (98 for 7 x 7 cells)",
        undefined="the map or the model's score is not finite",
    )
    higher_is_better = card.higher_is_better

    def __init__(
        self,
        grid_size: GridSize | None = None,
        segments: Segments = "grid",
        steps: int | None = None,
        log_steps: int | None = None,
        baseline: Removed | float = "zero",
        output: Output = OUTPUT,
        space: Space = "input",
        chunk: int | None = None,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(baseline, output, space, chunk, keep_samples)
        self.grid_size = checked_grid(grid_size)
        self.segments: Literal["grid", "slic"] = check_choice(segments, Segments, "segments")
        self.steps, self.log_steps = steps, log_steps
        if steps is not None and log_steps is not None:
            raise InputError(f"steps is {steps} and log_steps {log_steps}: give one of the two")
        for name, value in (("steps", steps), ("log_steps", log_steps)):
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}: give 1 or more")
        if segments == "slic" and baseline == "tokens":
            raise InputError("segments is slic, which splits patches, and baseline is tokens: choose segments grid")

    def measure(self, removal: Removal, maps: Tensor, ids: Sequence[str]) -> Tensor:
        """See `RemovalMetric.measure`."""
        cells = self._cells(removal)
        present = (cells.shares > 0).sum(1).tolist()
        counts = {units: self._counts(units) for units in set(present)}
        points = max(map(len, counts.values()))
        padded = [counts[units] + [units] * (points - len(counts[units])) for units in present]
        curves = both_orders(removal, cells, cells.means(maps), torch.tensor(padded, device=maps.device))
        gain = relevance_gain(curves.lif, curves.mif, curves.lif_places, curves.mif_places)
        return gain.to(removal.clean.dtype)

    def forwards(self, size: tuple[int, int]) -> int:
        """See `Metric.forwards`: both orders share the image and the empty image."""
        rows, columns = grid_of(self._usual_grid())
        return 2 * (len(self._counts(rows * columns)) - 1)

    def check(self, size: tuple[int, int]) -> None:
        """See `Metric.check`."""
        super().check(size)
        refuse_small(size, self._usual_grid())

    def _usual_grid(self) -> GridSize:
        if self.grid_size is None:
            return GRID if self.segments == "grid" else SUPERPIXELS
        return self.grid_size

    def _cells(self, removal: Removal) -> Cells:
        rows, columns = grid_of(self._usual_grid())
        if self.segments == "slic":
            if removal.canvas != removal.size:
                raise InputError("segments is slic, which splits patches, and baseline is auto: choose segments grid")
            return Cells.of_numbers(removal, removal.shared(("slic", rows * columns), lambda: self._slic(removal)))
        return Cells.of_grid(removal, removal.grid(GRID) if self.grid_size is None else (rows, columns))

    def _slic(self, removal: Removal) -> Tensor:
        """Superpixels of each image ``(B, H, W)``."""
        rows, columns = grid_of(self._usual_grid())
        preprocessing = getattr(removal.model, "preprocessing", None)
        if preprocessing is None:
            raise InputError("segments is slic, which needs the colors of pixels: give a Backbone, or choose grid")
        return superpixels(preprocessing.denormalize(removal.images), rows * columns).to(removal.images.device)

    def _counts(self, units: int) -> list[int]:
        """Cells that are gone at each point, from 0 to all."""
        if self.log_steps is not None:
            return log_counts(units, self.log_steps)
        return step_counts(units, steps=units if self.steps is None else min(self.steps, units))
