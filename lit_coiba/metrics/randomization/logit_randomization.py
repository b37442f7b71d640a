"""Random logit test: does a map change when another class is explained?"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from lit_coiba.core.behavior import refuse_one_logit
from lit_coiba.core.targets import select_output
from lit_coiba.core.targets.class_target import class_rows
from lit_coiba.functional import keyed_noise, uniform
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.explaining import Explained, ExplainingMetric
from lit_coiba.metrics.randomization.alike import Similarity, alike, check_similarity


class LogitRandomization(ExplainingMetric):
    """Similarity of the map of a class to the map of another class of the same image, drawn at random.

    Sixt, Granz and Landgraf, "When Explanations Lie", 2020 (arXiv 1912.09818). Lower is better: 1 is a map that does
    not depend on the class. Maps are compared by their absolute values; Xplique takes ``ssim``.

    Args:
        similarity: ``spearman`` of absolute values (ours), ``ssim`` (Xplique), or ``hog``, which needs scikit-image.
        seed: Seed of the classes, which depend on it and the sample's id alone.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: An argument that is not among its choices.
    """

    card = MetricCard(
        "randomization",
        "Sixt, Granz and Landgraf, 2020 (arXiv 1912.09818)",
        higher_is_better=False,
        range="-1 to 1; 1 = does not depend on the class",
        cost="2 explanations, and 1 forward",
        undefined="a map is not finite or constant",
    )
    higher_is_better = card.higher_is_better

    def __init__(self, similarity: Similarity = "spearman", seed: int = 0, keep_samples: bool = False) -> None:
        super().__init__(keep_samples)
        self.similarity = check_similarity(similarity)
        self.seed = seed

    def measure(self, explained: Explained, maps: Tensor, ids: Sequence[str]) -> Tensor:
        """Similarities ``(B,)``.

        Raises:
            InputError: What is explained is no class, or there is only one.
        """
        own = explained.rows.classes(type(self).__name__)
        path = getattr(explained.rows, "output", None)
        count = select_output(explained.out, path).shape[-1]
        refuse_one_logit(count, "there is no other class: its probability is")
        share = uniform(keyed_noise(self.seed, ids, "another class", (1,)))[:, 0].to(own.device)
        drawn = (share * (count - 1)).long().clamp(0, count - 2)
        other = class_rows(drawn + (drawn >= own), count, output=path)
        size = (explained.images.shape[-2], explained.images.shape[-1])
        return alike(explained.clean, explained.maps(explained.images, rows=other), self.similarity, size)
