"""IDSDS: the single deletion score of a model for which a missing cell is nothing new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from lit_coiba.core.errors import check_count
from lit_coiba.core.targets import Targets
from lit_coiba.metrics.batch import Model
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.faithfulness.gate import check_gate
from lit_coiba.metrics.faithfulness.removal import Output, Removal
from lit_coiba.metrics.faithfulness.removal_metric import RemovalMetric
from lit_coiba.metrics.faithfulness.single_deletion import CELLS, check_cells, single_deletion
from lit_coiba.metrics.shared import Shared
from lit_coiba.perturbation.baselines import Baseline


class IDSDS(RemovalMetric):
    """In-distribution single deletion score: `SDS` of a model that was trained with one cell of the image missing.

    Hesse, Schaub-Meyer and Roth, "Benchmarking the Attribution Quality of Vision Models", 2024 (arXiv 2407.11910). The
    model is trained further by ``lit-coiba fit -c configs/experiment/idsds.yaml``, and maps are computed on what comes
    out: the ranking of methods is that of the tuned model, not of the one before. Ours: a gate. The file that the fit
    exports says how accurate the model is on whole images and with one random cell missing; where that is more than two
    points apart, or not known, the score would be no more than `SDS`, and is refused under this name.

    Args:
        grid_size: Cells a side, as in training.
        baseline: What takes the place of a cell, as in training.
        output: See `SDS`.
        clean_accuracy: Accuracy on whole validation images, for a model whose file does not say it, 0 to 1.
        missing_accuracy: Accuracy with one random cell missing, likewise.
        chunk: See `RemovalMetric`.
        keep_samples: See there.

    Raises:
        InputError: An argument that is not among its choices or out of range.

    Example:
        >>> import torch
        >>> images, maps = torch.tensor([[[[0.4, 0.3], [0.2, 0.1]]]]), torch.tensor([[[4.0, 3.0], [1.0, 2.0]]])
        >>> total = lambda images: images.sum((1, 2, 3)).unsqueeze(1)
        >>> metric = IDSDS(grid_size=2, clean_accuracy=0.93, missing_accuracy=0.92)
        >>> metric.score(total, images, None, maps)
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
        baseline: Baseline | float = "zero",
        output: Output = "logit",
        clean_accuracy: float | None = None,
        missing_accuracy: float | None = None,
        chunk: int | None = None,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(baseline, output, chunk=chunk, keep_samples=keep_samples)
        check_count(2, grid_size=grid_size)
        self.grid_size = grid_size
        self.clean_accuracy = clean_accuracy
        self.missing_accuracy = missing_accuracy

    def score(
        self,
        model: Model,
        images: Tensor,
        targets: Targets,
        maps: Tensor,
        ids: Sequence[str] | None = None,
        shared: Shared | None = None,
    ) -> Tensor:
        """See `RemovalMetric.score`.

        Raises:
            InputError: A missing cell is not in the distribution of the model, or that is not known.
        """
        self.check_model(model)
        return super().score(model, images, targets, maps, ids, shared)

    def check_model(self, model: Any) -> None:
        """Refuse a model to which a missing cell is new.

        Raises:
            InputError: It is, or that is not known.
        """
        measured = self.clean_accuracy, self.missing_accuracy
        check_gate("IDSDS", model, "cell", self.grid_size, self.baseline, measured, "take SDS, or ")

    def measure(self, removal: Removal, maps: Tensor, ids: Sequence[str]) -> Tensor:
        """See `RemovalMetric.measure`."""
        return single_deletion(removal, maps, self.grid_size)

    def forwards(self, size: tuple[int, int]) -> int:
        """See `Metric.forwards`."""
        return 1 + self.grid_size**2

    def check(self, size: tuple[int, int]) -> None:
        """See `SDS.check`."""
        super().check(size)
        check_cells(self.grid_size, size)
