"""ROAD: removed pixels are filled in from their neighbors, so that what was removed cannot be seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, check_choice, check_not_negative
from lit_coiba.functional import cell_values, ranks
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.faithfulness.removal import OUTPUT, Output, Removal
from lit_coiba.metrics.faithfulness.removal_metric import RemovalMetric
from lit_coiba.perturbation.linear_imputation import imputation_noise, impute_linearly

Order = Literal["both", "morf", "lerf"]

PERCENTAGES = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0)


class ROAD(RemovalMetric):
    """Remove and debias: the score without the least relevant pixels minus that without the most relevant ones.

    Rong et al., "A Consistent and Efficient Evaluation Strategy for Attribution Methods", 2022 (arXiv 2202.00449). Of
    each image a percentage of the pixels is removed, the highest of the map first (MoRF) or the lowest (LeRF), and
    filled in by noisy linear imputation; the score is the mean over the percentages of LeRF - MoRF. It follows the
    protocol of the package grad-cam, whose `ROADCombined` halves the difference, scores logits unless told otherwise,
    and names what is kept where this names what is removed; the paper compares accuracies.

    Args:
        percentages: Percentages of the pixels that are removed, above 0 and below 100.
        order: ``both`` = LeRF - MoRF; ``morf`` = clean score - MoRF; ``lerf`` = LeRF - clean score. Higher is better in
            all of them.
        noise: Standard deviation of the noise that is added to what is filled in, in model input.
        output: See `RemovalMetric`.
        seed: Seed of the noise, which depends on it, the sample's id and the percentage only.
        chunk: See `RemovalMetric`.
        keep_samples: See there.

    Raises:
        InputError: An argument that is not among its choices or out of range.

    Example:
        >>> images, maps = torch.tensor([[[[0.9, 0.0, 0.0, 0.0]]]]), torch.tensor([[[4.0, 3.0, 2.0, 1.0]]])
        >>> total = lambda images: images.sum((1, 2, 3)).unsqueeze(1)
        >>> ROAD(percentages=(25,), noise=0.0, output="logit").score(total, images, None, maps)
        tensor([0.9000])
    """

    card = MetricCard(
        "faithfulness",
        "Rong, Leemann, Borisov, Kasneci and Kasneci, 2022 (arXiv 2202.00449)",
        higher_is_better=True,
        range="-1 to 1 for a probability; 0 for random maps",
        cost="1 + 2 forwards for each percentage (19), and as many sparse systems on the CPU",
        undefined="the map or the model's score is not finite",
    )
    higher_is_better = card.higher_is_better

    def __init__(
        self,
        percentages: tuple[float, ...] = PERCENTAGES,
        order: Order = "both",
        noise: float = 0.01,
        output: Output = OUTPUT,
        seed: int = 0,
        chunk: int | None = None,
        keep_samples: bool = False,
    ) -> None:
        super().__init__("zero", output, chunk=chunk, keep_samples=keep_samples)
        self.percentages = tuple(percentages)
        self.order = check_choice(order, Order, "order")
        self.noise = noise
        self.seed = seed
        check_not_negative(noise=noise)
        if not percentages or not all(0 < share < 100 for share in percentages):
            raise InputError(f"percentages is {list(percentages)}: give some above 0 and below 100")

    def measure(self, removal: Removal, maps: Tensor, ids: Sequence[str]) -> Tensor:
        """See `RemovalMetric.measure`."""
        places = ranks(cell_values(maps, removal.size))  # (B, H, W), 0 = the highest
        pixels = places[0].numel()
        counts = torch.tensor([round(share / 100 * pixels) for share in self.percentages], device=places.device)
        steps = len(counts)

        def made(rows: Tensor, copies: Tensor) -> Tensor:
            count = counts[copies % steps][:, None, None]
            lowest = (self._orders[0] == "lerf") ^ (copies >= steps)
            removed = torch.where(lowest[:, None, None], places[rows] >= pixels - count, places[rows] < count)
            images = removal.images[rows]
            return impute_linearly(images, removed, imputation_noise(self.seed, self.noise, images, rows, copies, ids))

        found = removal.image_scores(steps * len(self._orders), made).unflatten(1, (len(self._orders), steps))
        means = dict(zip(self._orders, found.mean(2).unbind(1)))
        return means.get("lerf", removal.clean) - means.get("morf", removal.clean)

    def forwards(self, size: tuple[int, int]) -> int:
        """See `Metric.forwards`."""
        return 1 + len(self._orders) * len(self.percentages)

    @property
    def _orders(self) -> tuple[str, ...]:
        return ("morf", "lerf") if self.order == "both" else (self.order,)
