"""Concepts as clusters: a trivial baseline of factorizations (ACE: Ghorbani et al., 2019, arXiv 1902.03129)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from lit_coiba.concepts.encoding import Encoding
from lit_coiba.concepts.factorization import Factorization
from lit_coiba.functional.k_means import k_means


class KMeans(Factorization):
    """Concepts that are centroids: every row is one of them, with coefficient 1.

    Args:
        n_concepts: Number of concepts r.
        seed: Seed of the start.

    Raises:
        InputError: A number outside its range.
    """

    encoding: ClassVar[Encoding] = "nearest"

    def __init__(self, n_concepts: int = 20, seed: int = 0) -> None:
        self.n_concepts = n_concepts
        self.seed = seed
        self._check()

    def _fit(self, activations: Tensor, where: str, seed: int) -> tuple[Tensor, Tensor]:
        centroids, members = k_means(activations, self.n_concepts, seed)
        return torch.nn.functional.one_hot(members, self.n_concepts).to(centroids.dtype), centroids
