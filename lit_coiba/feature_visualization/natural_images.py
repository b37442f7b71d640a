"""The natural images that activate each of many objectives most, found in one pass in memory that does not grow."""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.functional import Scatter

STRONGEST = 10  # images that are kept for each objective


class NaturalImages:
    """Scores and features of natural images, batch by batch.

    Args:
        count: Number n of images to keep for each of B objectives.

    Attributes:
        seen: Number of images so far.
        scores: The largest scores of each objective, ``(B, n)``, descending; -inf = there is no more.
        numbers: Numbers of their images, ``(B, n)`` int64; -1 = there is no more.
        scatter: Mean and scatter of the features of all images.
    """

    def __init__(self, count: int = STRONGEST) -> None:
        self.count = count
        self.seen = 0
        self.scores, self.numbers = torch.empty(0, 0), torch.empty(0, 0, dtype=torch.int64)
        self.scatter: Scatter | None = None
        self._features: dict[int, Tensor] = {}  # of the images that are kept for an objective, by their numbers

    def add(self, scores: Tensor, features: Tensor, numbers: Tensor) -> None:
        """Look at some images. Of equal scores the image that comes first is kept.

        Args:
            scores: Score of each objective, ``(n, B)``; what is not finite does not count.
            features: Features averaged over space, ``(n, C)``.
            numbers: Numbers of the images, ``(n,)``.
        """
        if not len(scores):
            return
        columns, rows = scores.detach().double().cpu().T, features.detach().cpu()
        columns = torch.where(columns.isfinite(), columns, -torch.inf)
        found = numbers.cpu().expand_as(columns)
        if self.seen:
            columns, found = torch.cat([self.scores, columns], 1), torch.cat([self.numbers, found], 1)
        ordered = columns.sort(dim=1, descending=True, stable=True)
        self.scores = ordered.values[:, : self.count]
        self.numbers = found.gather(1, ordered.indices[:, : self.count]).masked_fill(self.scores == -torch.inf, -1)
        kept = set(self.numbers.unique().tolist())
        every = {**self._features, **dict(zip(numbers.tolist(), rows.clone()))}
        self._features = {number: one for number, one in every.items() if number in kept}
        part = Scatter.of(rows)
        self.scatter = part if self.scatter is None else self.scatter.merge(part)
        self.seen += len(scores)

    def features(self, objective: int) -> Tensor:
        """Features of the images of one objective, the strongest first, ``(n, C)`` at most."""
        numbers = [number for number in self.numbers[objective].tolist() if number >= 0]
        return torch.stack([self._features[number] for number in numbers]) if numbers else torch.empty(0, 0)


def plausibility(features: Tensor, natural: Tensor) -> Tensor:
    """How near an optimized image is to the natural images that activate its unit most, in [-1, 1]: ours.

    The mean cosine of their penultimate activations, after Fel et al. 2023 (arXiv 2306.06805), whose exact definition
    is not known to us.

    Args:
        features: Of the optimized image, ``(C,)``.
        natural: Of the natural images, ``(n, C)``.

    Example:
        >>> plausibility(torch.tensor([1.0, 0.0]), torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
        tensor(0.5000)
    """
    return torch.nn.functional.cosine_similarity(natural, features.to(natural)[None], dim=1).mean()
