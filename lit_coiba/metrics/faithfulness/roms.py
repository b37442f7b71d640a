"""R-OMS: how well a score survives when random parts are removed, which no map decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from lit_coiba.core.errors import check_count
from lit_coiba.core.targets import Targets
from lit_coiba.functional import area_over, keyed_orders
from lit_coiba.metrics.batch import Model
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.faithfulness.cells import Cells, GridSize, checked_grid, grid_of, refuse_small
from lit_coiba.metrics.faithfulness.removal import OUTPUT, Output, Removal, Removed
from lit_coiba.metrics.faithfulness.removal_metric import RemovalMetric, names_of
from lit_coiba.metrics.shared import Shared
from lit_coiba.perturbation.baselines import Space

GRID = 7  # as SRG


class ROMS(RemovalMetric):
    """Reliability of a baseline: area under the score while random cells are removed. It needs no map.

    Bluecher, Vielhaben and Strodthoff, TMLR 2024 (arXiv 2401.06654): the higher, the less the baseline itself disturbs
    the model. "Most important first" tells maps apart where it is high, "least important first" where it is low; `SRG`
    uses both, and this number belongs beside it. Numbers of removed cells are on `levels` equal levels from 1 to all;
    ours: the clean image begins the curve, as in `SRG`, and the cells of a level contain those of the one before. What
    is scored is the target, the clean image's class where none is given (authors: the class where one level is gone).

    Args:
        grid_size: Rows and columns of cells, or one number for both. None = 7, with tokens the finest up to that which
            splits no patch.
        levels: Number of levels.
        draws: Number of random orders.
        baseline: See `RemovalMetric`.
        output: See there.
        space: See there.
        seed: Seed of the orders, which also depend on the sample's id.
        chunk: See `RemovalMetric`.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: An argument that is not among its choices or out of range.

    Example:
        >>> total = lambda images: images.sum((1, 2, 3)).unsqueeze(1)
        >>> ROMS(grid_size=(1, 2), levels=2, output="logit").score(total, torch.full((1, 1, 1, 2), 0.5), None)
        tensor([0.5000])
    """

    card = MetricCard(
        "faithfulness",
        "Bluecher, Vielhaben and Strodthoff, 2024 (arXiv 2401.06654)",
        higher_is_better=None,
        range="0 to 1 as a probability; a property of model and baseline",
        cost="1 + levels forwards (11), once for all methods",
        undefined="the model's score is not finite",
    )
    higher_is_better = card.higher_is_better
    serves_all_maps = True
    needs: ClassVar[tuple[str, ...]] = ("model", "images", "targets", "ids", "shared")

    def __init__(
        self,
        grid_size: GridSize | None = None,
        levels: int = 10,
        draws: int = 1,
        baseline: Removed | float = "zero",
        output: Output = OUTPUT,
        space: Space = "input",
        seed: int = 0,
        chunk: int | None = None,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(baseline, output, space, chunk, keep_samples)
        check_count(2, levels=levels)
        check_count(1, draws=draws)
        self.grid_size = checked_grid(grid_size)
        self.levels = levels
        self.draws = draws
        self.seed = seed

    def score(  # type: ignore[override]  # it needs no map
        self,
        model: Model,
        images: Tensor,
        targets: Targets,
        ids: Sequence[str] | None = None,
        shared: Shared | None = None,
    ) -> Tensor:
        """Score of each sample ``(B,)``; see `RemovalMetric.score`."""
        return self.measure(self.removal(model, images, targets, shared), images[:, 0], names_of(ids, images))

    def measure(self, removal: Removal, maps: Tensor, ids: Sequence[str]) -> Tensor:
        """See `RemovalMetric.measure`; maps are not looked at."""
        grid = removal.grid(GRID) if self.grid_size is None else grid_of(self.grid_size)
        key = ("roms", grid, self.levels, self.draws, self.seed, tuple(ids))
        return removal.shared(key, lambda: self._areas(removal, grid, ids))

    def forwards(self, size: tuple[int, int]) -> int:
        """See `Metric.forwards`; the image and the empty image are in all draws."""
        rows, columns = grid_of(GRID if self.grid_size is None else self.grid_size)
        return 2 + self.draws * (len(self._counts(rows * columns)) - 1)

    def check(self, size: tuple[int, int]) -> None:
        """See `Metric.check`."""
        super().check(size)
        refuse_small(size, GRID if self.grid_size is None else self.grid_size)

    def _counts(self, units: int) -> list[int]:
        """Numbers of cells that are gone, from 1 to all."""
        last = self.levels - 1
        return sorted({1 + round(k * (units - 1) / last) for k in range(self.levels)})

    def _areas(self, removal: Removal, grid: tuple[int, int], ids: Sequence[str]) -> Tensor:
        """Mean area of each image over the draws ``(B,)``."""
        cells, units = Cells.of_grid(removal, grid), grid[0] * grid[1]
        device = removal.images.device
        places = torch.stack([keyed_orders(self.seed, name, "roms", self.draws, units) for name in ids]).to(device)
        counts = torch.tensor(self._counts(units), device=device)
        inner, steps = counts[:-1], len(counts) - 1

        def removed(rows: Tensor, copies: Tensor) -> Tensor:  # one number of cells at a time: see `Removal.scores`
            return places[rows, copies % self.draws] < inner[copies // self.draws].unsqueeze(1)

        found = removal.cell_scores(steps * self.draws, cells.numbers, removed)
        scores = found.unflatten(1, (steps, self.draws)).movedim(1, -1).flatten(0, 1)  # (B * draws, steps)
        ends = [end.repeat_interleave(self.draws).unsqueeze(1) for end in (removal.clean, removal.empty())]
        gone = (places.unsqueeze(-1) < counts).to(cells.shares.dtype) * cells.shares[:, None, :, None]
        shares = gone.sum(2).flatten(0, 1)  # (B * draws, steps + 1)
        curves = torch.cat([ends[0], scores, ends[1]], 1)
        points = torch.cat([torch.zeros_like(shares[:, :1]), shares], 1)
        if not removal.ends_empty:  # the curve ends before
            curves, points = curves[:, :-1], points[:, :-1]
        return area_over(curves, points).unflatten(0, (-1, self.draws)).mean(1).to(removal.clean.dtype)
