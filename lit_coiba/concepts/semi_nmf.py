"""Semi-NMF of activations, for layers of any sign: transformers, ConvNeXt, whatever ends in a GELU or a norm.

Ding, Li and Jordan, "Convex and Semi-Nonnegative Matrix Factorizations", IEEE TPAMI, 2010.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.concepts.factorization import Factorization
from lit_coiba.core.errors import check_count, check_not_negative
from lit_coiba.functional.k_means import k_means
from lit_coiba.functional.semi_nmf import semi_nmf

_ADDED = 0.2  # to the one-hot start, as in the paper


class SemiNMF(Factorization):
    """Concepts of any sign, coefficients that are not negative; starts from k-means.

    It reconstructs well, but other concepts may reconstruct as well: look at `stability`.

    Args:
        n_concepts: Number of concepts r.
        max_iter: Number of iterations at most.
        tol: Decrease of the relative error in an iteration below which the iterations end.
        seed: Seed of k-means.

    Raises:
        InputError: A number outside its range.
    """

    def __init__(self, n_concepts: int = 20, max_iter: int = 200, tol: float = 1e-5, seed: int = 0) -> None:
        check_count(max_iter=max_iter)
        check_not_negative(tol=tol)
        self.n_concepts = n_concepts
        self.max_iter = max_iter
        self.tol = tol
        self.seed = seed
        self._check()

    def _fit(self, activations: Tensor, where: str, seed: int) -> tuple[Tensor, Tensor]:
        members = k_means(activations, self.n_concepts, seed)[1]
        start = torch.nn.functional.one_hot(members, self.n_concepts) + _ADDED
        found = semi_nmf(activations, start, self.max_iter, self.tol)
        return found.coefficients, found.dictionary
