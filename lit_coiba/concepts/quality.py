"""How good concepts are: how much of the activations they reconstruct, and whether another seed finds them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lit_coiba.core.errors import InputError
from lit_coiba.functional import fp64_where_possible

if TYPE_CHECKING:
    from lit_coiba.concepts.factorization import Factorization


class Matching(NamedTuple):
    """The concepts of one dictionary and those of another one, each with one partner."""

    partners: Tensor  # (r,) int64: concept of the second dictionary
    cosines: Tensor  # (r,) float64


class Stability(NamedTuple):
    """Whether other seeds find the same concepts."""

    cosines: Tensor  # (seeds - 1, r) float64: concepts of the first seed and their partners of the other seeds
    concepts: Tensor  # (r,) mean over the other seeds
    mean: float


def relative_error(activations: Tensor, coefficients: Tensor, dictionary: Tensor) -> Tensor:
    """``||A - U W|| / ||A||``, Frobenius norms in fp64 where the device has it; 0 where there is nothing.

    Args:
        activations: ``(N, c)``.
        coefficients: ``(N, r)``.
        dictionary: ``(r, c)``.

    Example:
        >>> relative_error(torch.eye(2), torch.eye(2), 0.5 * torch.eye(2)).item()
        0.5
    """
    left, size = activations.new_zeros((), dtype=torch.float32), activations.new_zeros((), dtype=torch.float32)
    left, size, wide = fp64_where_possible(left), fp64_where_possible(size), fp64_where_possible(dictionary)
    for a, u in zip(activations.split(4096), coefficients.split(4096)):
        a = fp64_where_possible(a)
        left = left + (a - fp64_where_possible(u) @ wide).square().sum()
        size = size + a.square().sum()
    return (left / size.masked_fill(size == 0, 1.0)).sqrt()


def match_concepts(first: Tensor, second: Tensor) -> Matching:
    """Partners of the concepts of one dictionary in another one, with the largest sum of cosines (Hungarian method).

    Args:
        first: ``(r, c)``.
        second: ``(r', c)``, with r' of at least r.

    Raises:
        InputError: The second dictionary has fewer concepts, or concepts of another width.

    Example:
        >>> match_concepts(torch.eye(2), torch.eye(2).flip(0)).partners
        tensor([1, 0])
    """
    from scipy.optimize import linear_sum_assignment  # half a second to import

    if first.shape[1] != second.shape[1] or len(second) < len(first):
        raise InputError(
            f"the dictionaries have shapes {tuple(first.shape)} and {tuple(second.shape)}: give two of the same layer,"
            " the second with as many concepts as the first or more"
        )
    cosines = normalize(first.double().cpu(), dim=1) @ normalize(second.double().cpu(), dim=1).T
    rows, columns = linear_sum_assignment(-cosines.numpy())
    partners = torch.as_tensor(columns)
    return Matching(partners, cosines[torch.as_tensor(rows), partners])


def stability(factorization: Factorization, activations: Tensor, seeds: tuple[int, ...] = (0, 1, 2)) -> Stability:
    """Fit the same activations with several seeds, and compare the concepts of the first seed with the others'.

    Args:
        factorization: The factorization; its own seed is not used.
        activations: ``(N, c)``.
        seeds: Two seeds at least.

    Raises:
        InputError: There are fewer than two seeds, or activations that cannot be factorized.
    """
    if len(seeds) < 2:
        raise InputError(f"seeds is {seeds}: give two at least")
    first, *others = (factorization.fit(activations, seed=seed).dictionary for seed in seeds)
    cosines = torch.stack([match_concepts(first, other).cosines for other in others])
    return Stability(cosines, cosines.mean(0), float(cosines.mean()))
