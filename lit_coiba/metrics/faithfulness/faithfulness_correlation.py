"""Faithfulness correlation: whether removing random pixels costs as much as the map says, linearly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, check_choice, check_count
from lit_coiba.functional import fp64_where_possible, pearson, prefix_sums, resize_map
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.faithfulness.cells import Cells, GridSize, checked_grid, grid_of, refuse_small
from lit_coiba.metrics.faithfulness.random_subsets import RandomSubsets
from lit_coiba.metrics.faithfulness.removal import Output, Removal, Removed
from lit_coiba.metrics.faithfulness.removal_metric import RemovalMetric
from lit_coiba.perturbation.baselines import Space

Unit = Literal["pixel", "entry"]
REMOVED = 224  # units of a subset, as in Quantus


class FaithfulnessCorrelation(RemovalMetric):
    """Pearson's correlation of a map's sum over random subsets of one size with the drop when they are removed.

    Bhatt, Weller and Moura, IJCAI 2020 (arXiv 2005.00631), with the numbers of Quantus: 100 subsets of 224 units of the
    logit. All subsets have exactly the same size, so a constant that is added to the map changes nothing. The subsets
    do not depend on the map: the drops are computed once for all methods. Other than in Quantus the baseline is zero
    (there ``minimum``), and draws are keyed by the sample.

    Args:
        removed: Number of units of a subset. None = 224, and a quarter of them where there are not four times as many
            (ours).
        subsets: Number of subsets.
        unit: What is removed: a ``pixel`` with all its channels, or an ``entry``, one channel of a pixel, as in
            Quantus, where a map has its value in every channel.
        grid_size: Rows and columns of cells that are removed in the place of pixels, or one number for both; None =
            single pixels, with tokens single patches.
        baseline: See `RemovalMetric`.
        output: See there.
        space: See there.
        seed: Seed of the subsets, which also depend on the sample's id.
        chunk: See `RemovalMetric`.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: An argument that is not among its choices or out of range.

    Example:
        >>> images = torch.tensor([[[[0.4, 0.3, 0.2, 0.1]]]], dtype=torch.float64)
        >>> total = lambda images: images.sum((1, 2, 3)).unsqueeze(1)
        >>> FaithfulnessCorrelation(removed=2).score(total, images, None, images[:, 0])
        tensor([1.0000], dtype=torch.float64)
    """

    card = MetricCard(
        "faithfulness",
        "Bhatt, Weller and Moura, 2020 (arXiv 2005.00631)",
        higher_is_better=True,
        range="-1 to 1, a correlation",
        cost="1 + subsets forwards (101), once for all methods",
        undefined="the map is constant or not finite, the model's score is not finite, or all drops are equal",
    )
    higher_is_better = card.higher_is_better
    serves_all_maps = True
    usual_output: ClassVar[Output] = "logit"

    def __init__(
        self,
        removed: int | None = None,
        subsets: int = 100,
        unit: Unit = "pixel",
        grid_size: GridSize | None = None,
        baseline: Removed | float = "zero",
        output: Output = "logit",
        space: Space = "input",
        seed: int = 0,
        chunk: int | None = None,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(baseline, output, space, chunk, keep_samples)
        self.removed = removed
        if removed is not None:
            check_count(1, removed=removed)
        check_count(3, subsets=subsets)
        self.subsets = subsets
        self.unit: Unit = check_choice(unit, Unit, "unit")
        self.grid_size = checked_grid(grid_size)
        self.seed = seed
        if unit == "entry" and (grid_size is not None or baseline in ("tokens", "auto")):
            raise InputError("unit is entry, which is one channel of a pixel: leave out grid_size and tokens")

    def measure(self, removal: Removal, maps: Tensor, ids: Sequence[str]) -> Tensor:
        """See `RemovalMetric.measure`."""
        entries = self.unit == "entry"
        cells = None if entries else Cells.of_grid(removal, self._grid(removal))
        shape = tuple(removal.images.shape[1:])
        values = entry_values(maps, shape) if cells is None else cells.sums(maps)
        units = values.shape[1]
        size = self._size(units)
        orders = RandomSubsets(self.seed, ids, "faithfulness_correlation", self.subsets, units, maps.device)

        def gone(rows: Tensor, copies: Tensor) -> Tensor:
            return orders.first(rows, copies, torch.full_like(rows, size))

        def drops() -> Tensor:
            if cells is None:
                scores = removal.scores(self.subsets, lambda rows, copies: gone(rows, copies).unflatten(1, shape))
            else:
                scores = removal.cell_scores(self.subsets, cells.numbers, gone)
            return removal.clean.unsqueeze(1) - scores

        grid = None if cells is None else cells.grid
        key = ("faithfulness_correlation", grid, size, self.subsets, self.seed, tuple(ids))
        lost = removal.shared(key, drops)
        sums = torch.stack([prefix_sums(value, orders.places(row), [size])[0] for row, value in enumerate(values)])
        return pearson(sums, lost).to(lost.dtype)

    def forwards(self, size: tuple[int, int]) -> int:
        """See `Metric.forwards`."""
        return 1 + self.subsets

    def check(self, size: tuple[int, int]) -> None:
        """See `Metric.check`."""
        super().check(size)
        if self.grid_size is not None:
            refuse_small(size, self.grid_size)

    def _grid(self, removal: Removal) -> tuple[int, int]:
        return removal.canvas if self.grid_size is None else grid_of(self.grid_size)

    def _size(self, units: int) -> int:
        """Number of units of a subset.

        Raises:
            InputError: There are not so many.
        """
        size = min(REMOVED, max(1, units // 4)) if self.removed is None else self.removed
        if size >= units:
            raise InputError(f"removed is {size}, but there are {units} pixels, cells or patches: give fewer")
        return size


def entry_values(maps: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The value of its pixel for every entry of images of `shape` ``(C, H, W)``: ``(B, C * H * W)``, fp64."""
    values = fp64_where_possible(maps)
    if tuple(maps.shape[-2:]) != shape[1:]:
        values = resize_map(values, (shape[1], shape[2]))
    return values.unsqueeze(1).expand(-1, *shape).flatten(1)
