"""MuFidelity: whether removing random parts costs as much as the map says, by rank."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.functional import keyed_subsets, spearman, subset_sums, without_rounding
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.faithfulness.cells import Cells, GridSize, checked_grid, grid_of
from lit_coiba.metrics.faithfulness.removal import Output, Removal, Removed
from lit_coiba.metrics.faithfulness.removal_metric import RemovalMetric
from lit_coiba.perturbation.baselines import Space


class MuFidelity(RemovalMetric):
    """Rank correlation of a map's sum over random cells with the drop of the score when these cells are removed.

    Fel et al., "Look at the Variance!", NeurIPS 2021 (arXiv 2111.04138), with the settings of Xplique: each cell of a
    9 x 9 grid is removed with probability 0.2, 200 times, and the score is the logit. Where it differs: draws are keyed
    by the sample, maps have one channel, and what is undefined is NaN, not 0. The subsets do not depend on the map: the
    drops are computed once for all methods.

    Args:
        grid_size: Rows and columns of cells, or one number for both. None = 9, with tokens the finest up to that which
            splits no patch.
        subsets: Number of random subsets.
        probability: Probability of a cell to be removed.
        baseline: See `RemovalMetric`.
        output: See there.
        space: See there.
        seed: Seed of the subsets, which also depend on the sample's id.
        chunk: See `RemovalMetric`.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: An argument that is not among its choices or out of range.

    Example:
        >>> import torch
        >>> images = torch.tensor([[[[0.4, 0.3, 0.2, 0.1]]]])
        >>> total = lambda images: images.sum((1, 2, 3)).unsqueeze(1)
        >>> MuFidelity(grid_size=(1, 4)).score(total, images, None, images[:, 0])
        tensor([1.])
    """

    card = MetricCard(
        "faithfulness",
        "Fel et al., Look at the Variance!, 2021 (arXiv 2111.04138)",
        higher_is_better=True,
        range="-1 to 1, a rank correlation",
        cost="1 + subsets forwards (201), once for all methods",
        undefined="the map or the model's score is not finite, or all sums or all drops are equal",
    )
    higher_is_better = card.higher_is_better
    serves_all_maps = True
    usual_output = "logit"

    def __init__(
        self,
        grid_size: GridSize | None = None,
        subsets: int = 200,
        probability: float = 0.2,
        baseline: Removed | float = "zero",
        output: Output = "logit",
        space: Space = "input",
        seed: int = 0,
        chunk: int | None = None,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(baseline, output, space, chunk, keep_samples)
        self.grid_size = checked_grid(grid_size)
        self.subsets = subsets
        self.probability = probability
        self.seed = seed
        if subsets < 3:
            raise InputError(f"subsets is {subsets}: give 3 or more")
        if not 0 < probability < 1:
            raise InputError(f"probability is {probability}: give a number between 0 and 1")

    def measure(self, removal: Removal, maps: Tensor, ids: Sequence[str]) -> Tensor:
        """See `RemovalMetric.measure`."""
        grid = removal.grid(9) if self.grid_size is None else grid_of(self.grid_size)
        cells = Cells.of_grid(removal, grid)
        shape = (self.subsets, grid[0] * grid[1])
        chosen = keyed_subsets(self.seed, ids, "mu_fidelity", shape, self.probability).to(maps.device)

        def drops() -> Tensor:
            scores = removal.cell_scores(self.subsets, cells.numbers, lambda rows, copies: chosen[rows, copies])
            return removal.clean.unsqueeze(1) - scores

        key = ("mu_fidelity", grid, self.subsets, self.probability, self.seed, tuple(ids))
        sums = subset_sums(cells.sums(maps), chosen)
        found = spearman(without_rounding(sums, maps.dtype), without_rounding(removal.shared(key, drops)))
        return found.to(removal.clean.dtype)

    def forwards(self, size: tuple[int, int]) -> int:
        """See `Metric.forwards`."""
        return 1 + self.subsets

    def check(self, size: tuple[int, int]) -> None:
        """See `Metric.check`."""
        super().check(size)
        rows, columns = grid_of(9 if self.grid_size is None else self.grid_size)
        if rows > size[0] or columns > size[1]:
            raise InputError(
                f"grid_size is {rows} x {columns}, but images have {size[0]} x {size[1]} pixels: give fewer"
            )
