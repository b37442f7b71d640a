"""Model parameter randomization test: does a map change when the model forgets what it has learned?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lit_coiba.core.errors import check_choice, warn
from lit_coiba.core.printable import listed
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.explaining import Explained, ExplainingMetric
from lit_coiba.metrics.randomization.alike import Similarity, alike, check_similarity
from lit_coiba.metrics.randomization.random_layers import Layers, Order, RandomLayers, checked_layers


class ModelRandomization(ExplainingMetric):
    """Similarity of a map to the maps of the same model with layers initialized anew, mean over the depths.

    Adebayo et al., "Sanity Checks for Saliency Maps", 2018 (arXiv 1810.03292). A method that explains the model gives
    other maps once the weights are random: lower is better, and 1 at all depths is a map that does not depend on the
    model, such as an edge detector's. Maps are compared by their absolute values. The mean is over randomized models
    only; `unrandomized` has the similarity of the maps that are scored to those that the method makes of the trained
    model now, which is 1 unless the method is random or the maps are of something else.

    The trained model is copied, never changed. See `RandomLayers` for what becomes of each layer. A method with
    activation statistics has to estimate them for the model that it is given, as `BottleneckMethod.of_model` does and
    ``compare`` and ``benchmark`` ask it to: statistics of the trained model belong to that one.

    Args:
        order: ``cascade`` = layers become random from the top down and stay so (paper), ``independent`` = one at a
            time.
        similarity: ``spearman`` of absolute values, ``ssim``, or ``hog``, which needs scikit-image.
        layers: Where maps are compared: names of modules, a number of depths, or None = at every module that has
            parameters. Each depth costs an explanation.
        seed: Seed of the new weights.
        keep_samples: Whether every score is kept.

    Attributes:
        depths: Names of the depths of the last batch, from the top.
        left: Parameters that could not be initialized anew, by name.

    Raises:
        InputError: An argument that is not among its choices.
    """

    card = MetricCard(
        "randomization",
        "Adebayo et al., 2018 (arXiv 1810.03292)",
        higher_is_better=False,
        range="-1 to 1; 1 = does not depend on the model",
        cost="1 explanation per depth and 1 more, and 1 forward",
        undefined="a map is not finite, or at some depth constant",
    )
    higher_is_better = card.higher_is_better

    unrandomized_total: Tensor  # () fp64
    unrandomized_count: Tensor  # () int64

    def __init__(
        self,
        order: Order = "cascade",
        similarity: Similarity = "spearman",
        layers: int | list[str] | None = None,
        seed: int = 0,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(keep_samples)
        self.order = check_choice(order, Order, "order")
        self.similarity = check_similarity(similarity)
        self.layers: Layers = checked_layers(layers)
        self.seed = seed
        self.depths: list[str] = []
        self.left: list[str] = []
        self._again = torch.empty(0)  # similarity of the last maps to those of the trained model
        self.add_state("unrandomized_total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("unrandomized_count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @property
    def unrandomized(self) -> Tensor:
        """Mean similarity of the maps that were scored to those of the trained model, fp64 ``()``."""
        return self.unrandomized_total / self.unrandomized_count

    def measure(self, explained: Explained, maps: Tensor, ids: Sequence[str]) -> Tensor:
        """Mean similarities over the depths ``(B,)``."""
        size = (explained.images.shape[-2], explained.images.shape[-1])
        self._again = alike(maps, explained.clean, self.similarity, size)
        return self.similarities(explained).mean(1)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Add a batch; the arguments are those of `score`."""
        self._add(self.score(*args, **kwargs))
        self.unrandomized_total = self.unrandomized_total + self._again[~self._again.isnan()].sum().to(self.total)
        self.unrandomized_count = self.unrandomized_count + (~self._again.isnan()).sum().to(self.count)

    def similarities(self, explained: Explained) -> Tensor:
        """Similarity to the map of the trained model at each depth, from the top, ``(B, depths)`` fp64."""
        size = (explained.images.shape[-2], explained.images.shape[-1])
        random = RandomLayers(explained.model, self.layers, self.order, self.seed)
        found = [alike(explained.clean, explained.maps(explained.images, one), self.similarity, size) for one in random]
        self.depths = [depth.name for depth in random.depths]
        if random.left and random.left != self.left:
            warn(f"these parameters have one value each, and stay as they were trained: {listed(random.left)}")
        self.left = random.left
        return torch.stack(found, 1)
