"""Semi-non-negative matrix factorization: a dictionary of any sign, coefficients that are not negative.

Ding, Li and Jordan, "Convex and Semi-Nonnegative Matrix Factorizations", IEEE TPAMI, 2010. Both alternating steps are
solved exactly here, the dictionary by least squares and the coefficients by non-negative least squares, in the place of
the paper's multiplicative rule.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.functional.nnls import nnls
from lit_coiba.functional.precise import fp64_where_possible


class SemiNMFResult(NamedTuple):
    """What `semi_nmf` found."""

    coefficients: Tensor  # (N, r), not negative
    dictionary: Tensor  # (r, c)
    errors: Tensor  # relative error after each iteration, never growing


def semi_nmf(rows: Tensor, coefficients: Tensor, iterations: int = 200, tolerance: float = 1e-5) -> SemiNMFResult:
    """Z >= 0 and D of any sign with small ``||A - Z D||``, from a start of Z.

    Args:
        rows: A, ``(N, c)``, of any sign.
        coefficients: Start of Z, ``(N, r)``.
        iterations: Number of iterations at most.
        tolerance: It ends where an iteration lowers the relative error by no more than this.

    Example:
        >>> start = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> semi_nmf(start @ torch.tensor([[1.0, -1.0], [2.0, 0.0]]), start).errors[-1].item() < 1e-12
        True
    """
    rows, coefficients = fp64_where_possible(rows), fp64_where_possible(coefficients)
    size = rows.norm().clamp_min(torch.finfo(rows.dtype).tiny)
    errors: list[Tensor] = []
    for _ in range(iterations):
        dictionary = torch.linalg.pinv(coefficients.T @ coefficients, hermitian=True) @ (coefficients.T @ rows)
        coefficients = nnls(rows, dictionary)
        errors.append((rows - coefficients @ dictionary).norm() / size)
        if len(errors) > 1 and errors[-2] - errors[-1] <= tolerance:
            break
    return SemiNMFResult(coefficients, dictionary, torch.stack(errors))
