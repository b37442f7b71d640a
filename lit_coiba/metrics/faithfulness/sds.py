"""SDS: does a map rank the cells of a grid as their removal, one at a time, does?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from lit_coiba.core.errors import check_count
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.faithfulness.removal import Output, Removal, Removed
from lit_coiba.metrics.faithfulness.removal_metric import RemovalMetric
from lit_coiba.metrics.faithfulness.single_deletion import CELLS, check_cells, single_deletion
from lit_coiba.perturbation.baselines import Space


class SDS(RemovalMetric):
    """Single deletion score: rank correlation of what a map says of each cell of a grid with what its removal costs.

    Hesse, Schaub-Meyer and Roth, "Benchmarking the Attribution Quality of Vision Models", 2024 (arXiv 2407.11910):
    Spearman's correlation of the sums of the map and the drops of the logit. The drops do not depend on a map: one set
    of forwards serves all maps of an image. A removed cell is outside of what most models were trained on; see `IDSDS`
    for a model that was trained with one cell missing. Ours: exact areas of cells where the map's resolution is no
    multiple of the grid's (authors: whole pixels), and undefined scores are counted.

    Args:
        grid_size: Cells a side. With ``baseline="tokens"`` of a model whose patches it would split, the finest grid up
            to it that does not.
        baseline: See `RemovalMetric`.
        output: See `RemovalMetric`; the authors': the logit, which unlike a probability does not saturate.
        space: See there.
        chunk: See there.
        keep_samples: See there.

    Raises:
        InputError: An argument that is not among its choices or out of range.

    Example:
        >>> import torch
        >>> images, maps = torch.tensor([[[[0.4, 0.3], [0.2, 0.1]]]]), torch.tensor([[[4.0, 3.0], [1.0, 2.0]]])
        >>> total = lambda images: images.sum((1, 2, 3)).unsqueeze(1)
        >>> SDS(grid_size=2).score(total, images, None, maps)
        tensor([0.8000])
    """

    card = MetricCard(
        "faithfulness",
        "Hesse, Schaub-Meyer and Roth, 2024 (arXiv 2407.11910)",
        higher_is_better=True,
        range="-1 to 1; 0 for random maps",
        cost="1 + cells forwards (17), once for all methods",
        undefined="the map is the same in all cells or not finite, or all cells matter as much",
    )
    higher_is_better = card.higher_is_better
    serves_all_maps = True
    usual_output: ClassVar[Output] = "logit"

    def __init__(
        self,
        grid_size: int = CELLS,
        baseline: Removed | float = "zero",
        output: Output = "logit",
        space: Space = "input",
        chunk: int | None = None,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(baseline, output, space, chunk, keep_samples)
        check_count(2, grid_size=grid_size)
        self.grid_size = grid_size

    def measure(self, removal: Removal, maps: Tensor, ids: Sequence[str]) -> Tensor:
        """See `RemovalMetric.measure`."""
        return single_deletion(removal, maps, self.grid_size)

    def forwards(self, size: tuple[int, int]) -> int:
        """See `Metric.forwards`."""
        return 1 + self.grid_size**2

    def check(self, size: tuple[int, int]) -> None:
        """Refuse images of `size`, height and width, that have fewer pixels a side than cells.

        Raises:
            InputError: They have.
        """
        super().check(size)
        check_cells(self.grid_size, size)
