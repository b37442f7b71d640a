"""Smooth model parameter randomization test: the same without the noise that maps have of their own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lit_coiba.core.errors import check_choice, check_count, check_positive
from lit_coiba.functional import keyed_noise
from lit_coiba.metrics.batch import Model
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.explaining import Explained, ExplainingMetric
from lit_coiba.metrics.randomization.alike import Similarity, alike, check_similarity
from lit_coiba.metrics.randomization.random_layers import Layers, Order, RandomLayers, checked_layers


class SmoothModelRandomization(ExplainingMetric):
    """`ModelRandomization` of maps that are each the mean over noisy copies of the image.

    Hedström, Weber, Lapuschkin and Höhne, "A Fresh Look at Sanity Checks for Saliency Maps", 2024 (arXiv 2401.06465):
    noise in a map lowers its similarity to any other and passes for sensitivity. Lower is more sensitive. All copies
    are noisy (in Quantus the last one is clean), they are the same at every depth, and the mean is over randomized
    models only.

    Args:
        draws: Noisy copies of an image (paper).
        noise: Standard deviation of the noise, as a share of the image's range (paper).
        order: ``cascade`` = layers become random from the top down and stay so, ``independent`` = one at a time.
        similarity: ``spearman`` of absolute values, ``ssim``, or ``hog``, which needs scikit-image.
        layers: Where maps are compared; see `ModelRandomization`. Each depth costs `draws` explanations.
        seed: Seed of the new weights, and with a sample's id of its noise.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: An argument that is not among its choices or out of range.
    """

    card = MetricCard(
        "randomization",
        "Hedström et al., 2024 (arXiv 2401.06465)",
        higher_is_better=False,
        range="-1 to 1; 1 = does not depend on the model",
        cost="50 explanations per depth and 50 more, and 1 forward",
        undefined="a map is not finite, or at some depth constant",
    )
    higher_is_better = card.higher_is_better

    def __init__(
        self,
        draws: int = 50,
        noise: float = 0.1,
        order: Order = "cascade",
        similarity: Similarity = "spearman",
        layers: int | list[str] | None = None,
        seed: int = 0,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(keep_samples)
        check_count(draws=draws)
        check_positive(noise=noise)
        self.draws, self.noise = draws, noise
        self.order = check_choice(order, Order, "order")
        self.similarity = check_similarity(similarity)
        self.layers: Layers = checked_layers(layers)
        self.seed = seed

    def measure(self, explained: Explained, maps: Tensor, ids: Sequence[str]) -> Tensor:
        """Mean similarities over the depths ``(B,)``."""
        return self.similarities(explained, ids).mean(1)

    def similarities(self, explained: Explained, ids: Sequence[str]) -> Tensor:
        """Similarity to the smoothed map of the trained model at each depth, from the top, ``(B, depths)`` fp64."""
        size = (explained.images.shape[-2], explained.images.shape[-1])
        trained = self._smoothed(explained, ids, None)
        random = RandomLayers(explained.model, self.layers, self.order, self.seed)
        found = [alike(trained, self._smoothed(explained, ids, one), self.similarity, size) for one in random]
        return torch.stack(found, 1)

    def _smoothed(self, explained: Explained, ids: Sequence[str], model: Model | None) -> Tensor:
        """Mean maps over the copies ``(B, h, w)`` fp64."""
        images = explained.images
        width = self.noise * (images.flatten(1).amax(1) - images.flatten(1).amin(1)).view(-1, 1, 1, 1)
        total: Tensor | float = 0.0
        for draw in range(self.draws):
            drawn = keyed_noise(self.seed, ids, f"smooth randomization {draw}", images.shape[1:]).to(images)
            total = total + explained.maps(images + width * drawn, model).double()
        assert isinstance(total, Tensor)
        return total / self.draws
