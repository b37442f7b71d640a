"""Concepts as principal directions: the baseline of factorizations with the smallest error.

Fel et al., "A Holistic Approach to Unifying Automatic Concept Extraction and Concept Importance Estimation", NeurIPS
2023 (arXiv 2306.07304).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from lit_coiba.concepts.encoding import Encoding
from lit_coiba.concepts.factorization import Factorization
from lit_coiba.functional import fp64_where_possible


class PCA(Factorization):
    """Orthonormal concepts with coefficients of any sign, the best that r concepts can reconstruct.

    The activations are not centered, so that a sum of concepts is an activation, as for the other factorizations. A
    concept points to where its largest entry is positive.

    Args:
        n_concepts: Number of concepts r.
        seed: Not used: nothing is drawn.

    Raises:
        InputError: A number outside its range.
    """

    encoding: ClassVar[Encoding] = "linear"

    def __init__(self, n_concepts: int = 20, seed: int = 0) -> None:
        self.n_concepts = n_concepts
        self.seed = seed
        self._check()

    def _fit(self, activations: Tensor, where: str, seed: int) -> tuple[Tensor, Tensor]:
        wide = fp64_where_possible(activations)
        _, vectors = torch.linalg.eigh(wide.T @ wide)  # ascending
        concepts = vectors.flip(1)[:, : self.n_concepts].T
        largest = concepts.gather(1, concepts.abs().argmax(1, keepdim=True))
        concepts = concepts * largest.sign()
        if (missing := self.n_concepts - len(concepts)) > 0:
            concepts = torch.cat([concepts, concepts.new_zeros(missing, concepts.shape[1])])
        return wide @ concepts.T, concepts
