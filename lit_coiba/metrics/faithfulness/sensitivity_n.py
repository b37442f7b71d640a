"""Sensitivity-n: whether removing any n pixels costs what the map says, for n from one to most of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, check_count
from lit_coiba.core.targets import Targets
from lit_coiba.functional import log_counts, pearson, prefix_sums
from lit_coiba.metrics.batch import Model
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.faithfulness.cells import Cells, GridSize, checked_grid, grid_of, refuse_small
from lit_coiba.metrics.faithfulness.random_subsets import RandomSubsets
from lit_coiba.metrics.faithfulness.removal import Output, Removal, Removed
from lit_coiba.metrics.faithfulness.removal_metric import RemovalMetric, names_of
from lit_coiba.metrics.maps import maps_of, not_finite
from lit_coiba.metrics.shared import Shared
from lit_coiba.perturbation.baselines import Space


class SensitivityN(RemovalMetric):
    """Pearson's correlation of a map's sum over random sets of n pixels with the drop when they are removed, over n.

    Ancona et al., "Towards better understanding of gradient-based attribution methods", ICLR 2018 (arXiv 1711.06104),
    as InputIBA computes it: the logit, and 100 sets for each n. Numbers n are spaced logarithmically from 1 to a share
    of all pixels; sets of n are the first n of one random order for all n (ours). A sample's score is the mean over
    those n for which it is defined; `mean_curve` has all of them. Exact attributions of a linear model score 1. The
    sets do not depend on the map: the drops are computed once for all methods.

    Args:
        levels: Number of n; fewer where whole numbers are too few.
        subsets: Number of sets for each n.
        largest: The largest n as a share of all pixels.
        grid_size: Rows and columns of cells that are removed in the place of pixels, or one number for both; None =
            single pixels, with tokens single patches.
        baseline: See `RemovalMetric`.
        output: See there.
        space: See there.
        seed: Seed of the sets, which also depend on the sample's id.
        chunk: See `RemovalMetric`.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: An argument that is not among its choices or out of range.

    Example:
        >>> images = torch.tensor([[[[0.4, 0.3, 0.2, 0.1]]]], dtype=torch.float64)
        >>> total = lambda images: images.sum((1, 2, 3)).unsqueeze(1)
        >>> SensitivityN(levels=2).score(total, images, None, images[:, 0])
        tensor([1.0000], dtype=torch.float64)
    """

    card = MetricCard(
        "faithfulness",
        "Ancona, Ceolini, Oztireli and Gross, 2018 (arXiv 1711.06104)",
        higher_is_better=True,
        range="-1 to 1, a correlation",
        cost="1 + levels x subsets forwards (1,001), once for all methods",
        undefined="the map is constant or not finite, the model's score is not finite, or no drop depends on the set",
    )
    higher_is_better = card.higher_is_better
    serves_all_maps = True
    usual_output: ClassVar[Output] = "logit"

    curve_total: Tensor  # (levels,) fp64: sum of the defined correlations for each n
    curve_count: Tensor  # (levels,) int64: how many are defined

    def __init__(
        self,
        levels: int = 10,
        subsets: int = 100,
        largest: float = 0.8,
        grid_size: GridSize | None = None,
        baseline: Removed | float = "zero",
        output: Output = "logit",
        space: Space = "input",
        seed: int = 0,
        chunk: int | None = None,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(baseline, output, space, chunk, keep_samples)
        check_count(1, levels=levels)
        check_count(3, subsets=subsets)
        self.levels = levels
        self.subsets = subsets
        self.largest = largest
        self.grid_size = checked_grid(grid_size)
        self.seed = seed
        if not 0 < largest <= 1:
            raise InputError(f"largest is {largest}: give a share of all pixels, above 0 and at most 1")
        self.add_state("curve_total", torch.zeros(levels, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("curve_count", torch.zeros(levels, dtype=torch.int64), dist_reduce_fx="sum")

    def sizes(self, units: int) -> list[int]:
        """The numbers n for images of so many pixels, or cells.

        Example:
            >>> SensitivityN(levels=4).sizes(10_000)
            [1, 20, 400, 8000]
        """
        return log_counts(max(1, int(self.largest * units)), self.levels)[1:][: self.levels]

    def measure(self, removal: Removal, maps: Tensor, ids: Sequence[str]) -> Tensor:
        """See `RemovalMetric.measure`."""
        return self._correlations(removal, maps, ids).nanmean(1)

    def update(
        self,
        model: Model,
        images: Tensor,
        targets: Targets,
        maps: Tensor,
        ids: Sequence[str] | None = None,
        shared: Shared | None = None,
    ) -> None:
        """Add a batch; the arguments are those of `score`."""
        found = self.correlations(model, images, targets, maps, ids, shared).to(self.total.device)
        self._add(found.nanmean(1))
        self.curve_total = self.curve_total + found.double().nansum(0)
        self.curve_count = self.curve_count + (~found.isnan()).sum(0)

    def mean_curve(self) -> Tensor:
        """Mean correlation for each n, fp64 ``(levels,)``; all processes have to ask."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            return self.curve_total / self.curve_count

    def correlations(
        self,
        model: Model,
        images: Tensor,
        targets: Targets,
        maps: Tensor,
        ids: Sequence[str] | None = None,
        shared: Shared | None = None,
    ) -> Tensor:
        """Correlation for each sample and n ``(B, levels)``, NaN = undefined; arguments as those of `score`."""
        maps = maps_of(maps, images)
        removal = self.removal(model, images, targets, shared)
        found = self._correlations(removal, maps, names_of(ids, images))
        return found.masked_fill(not_finite(maps).unsqueeze(1), torch.nan)

    def forwards(self, size: tuple[int, int]) -> int:
        """See `Metric.forwards`."""
        rows, columns = size if self.grid_size is None else grid_of(self.grid_size)
        return 1 + self.subsets * len(self.sizes(rows * columns))

    def check(self, size: tuple[int, int]) -> None:
        """See `Metric.check`."""
        super().check(size)
        if self.grid_size is not None:
            refuse_small(size, self.grid_size)

    def _correlations(self, removal: Removal, maps: Tensor, ids: Sequence[str]) -> Tensor:
        cells = Cells.of_grid(removal, None if self.grid_size is None else grid_of(self.grid_size))
        values = cells.sums(maps)
        units, draws, device = values.shape[1], self.subsets, maps.device
        sizes = self.sizes(units)
        numbers = torch.tensor(sizes, device=device)
        orders = RandomSubsets(self.seed, ids, "sensitivity_n", draws, units, device)

        def drops() -> Tensor:
            def gone(rows: Tensor, copies: Tensor) -> Tensor:  # one n at a time: see `Removal.scores`
                return orders.first(rows, copies % draws, numbers[copies // draws])

            scores = removal.cell_scores(len(sizes) * draws, cells.numbers, gone)
            return removal.clean.unsqueeze(1) - scores

        key = ("sensitivity_n", cells.grid, tuple(sizes), draws, self.seed, tuple(ids))
        lost = removal.shared(key, drops).unflatten(1, (len(sizes), draws))
        sums = torch.stack([prefix_sums(value, orders.places(row), sizes) for row, value in enumerate(values)])
        found = pearson(sums, lost).to(lost.dtype).masked_fill(numbers == units, torch.nan)  # all sets are the same
        return torch.nn.functional.pad(found, (0, self.levels - len(sizes)), value=torch.nan)
