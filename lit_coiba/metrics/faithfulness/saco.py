"""SaCo: groups of pixels, from the most to the least salient, are removed one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, check_count
from lit_coiba.functional import cell_values, fp64_where_possible, ranks, salience_faithfulness
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.faithfulness.removal import OUTPUT, Output, Removal, Removed
from lit_coiba.metrics.faithfulness.removal_metric import RemovalMetric
from lit_coiba.metrics.maps import constant
from lit_coiba.perturbation.baselines import Baseline, Space


class SaCo(RemovalMetric):
    """Salience-guided faithfulness coefficient: whether more salient groups of pixels matter more, and by how much.

    Wu et al., "On the Faithfulness of Vision Transformer Explanations", 2024 (arXiv 2404.01415), algorithm 1. Pixels
    are sorted by a map, in groups of equal size; each group by itself is replaced by the image's mean color, and every
    pair of groups counts by the difference of its saliences. Unlike a correlation of ranks it depends on how much a map
    sets pixels apart: a * map + c with a > 0 scores the same, another increasing function of it does not. Where the
    pixels cannot be divided, sizes of groups differ by one, and a salience is the mean of its group.

    Args:
        groups: Number of groups K. With ``baseline="tokens"`` they consist of patches.
        baseline: See `RemovalMetric`; ``auto`` = tokens where the model can, else the mean color.
        output: See `RemovalMetric`.
        space: See there.
        chunk: See there.
        keep_samples: See there.

    Raises:
        InputError: An argument that is not among its choices or out of range.

    Example:
        >>> images, maps = torch.tensor([[[[0.4, 0.3, 0.1, 0.2]]]]), torch.tensor([[[4.0, 3.0, 2.0, 1.0]]])
        >>> total = lambda images: images.sum((1, 2, 3)).unsqueeze(1)
        >>> SaCo(groups=4, baseline="zero", output="logit").score(total, images, None, maps)
        tensor([0.8000])
    """

    card = MetricCard(
        "faithfulness",
        "Wu, Kang, Tang, Hong and Yan, 2024 (arXiv 2404.01415)",
        higher_is_better=True,
        range="-1 to 1; about 0 for random maps",
        cost="1 + groups forwards (11)",
        undefined="the map is constant or not finite, or all groups matter as much",
    )
    higher_is_better = card.higher_is_better
    usual_baseline: ClassVar[Baseline] = "mean"

    def __init__(
        self,
        groups: int = 10,
        baseline: Removed | float = "mean",
        output: Output = OUTPUT,
        space: Space = "input",
        chunk: int | None = None,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(baseline, output, space, chunk, keep_samples)
        check_count(2, groups=groups)
        self.groups = groups

    def measure(self, removal: Removal, maps: Tensor, ids: Sequence[str]) -> Tensor:
        """See `RemovalMetric.measure`."""
        count = removal.canvas[0] * removal.canvas[1]
        if count < self.groups:
            what = "patches" if self.baseline in ("tokens", "auto") else "pixels"
            raise InputError(f"groups is {self.groups}, but there are {count} {what}: give fewer")
        values = cell_values(maps, removal.canvas)
        groups = ranks(values) * self.groups // count  # (B, *canvas), 0 = the most salient
        sums = fp64_where_possible(values).flatten(1)
        sizes = torch.zeros_like(sums[:, : self.groups]).scatter_add_(1, groups.flatten(1), torch.ones_like(sums))
        saliences = torch.zeros_like(sizes).scatter_add_(1, groups.flatten(1), sums) / sizes
        scores = removal.scores(self.groups, lambda rows, copies: groups[rows] == copies[:, None, None])
        found = salience_faithfulness(saliences, removal.clean.unsqueeze(1) - scores)
        return found.masked_fill(constant(maps), torch.nan).to(removal.clean.dtype)

    def forwards(self, size: tuple[int, int]) -> int:
        """See `Metric.forwards`."""
        return 1 + self.groups

    def check(self, size: tuple[int, int]) -> None:
        """Refuse images of `size`, height and width, that have fewer pixels than groups.

        Raises:
            InputError: They have.
        """
        super().check(size)
        if size[0] * size[1] < self.groups:
            raise InputError(f"groups is {self.groups}, but images have {size[0]} x {size[1]} pixels: give fewer")
