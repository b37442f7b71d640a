"""Non-negative least squares of many rows at once, exact, and differentiable with respect to the rows.

Kim and Park, "Fast Nonnegative Matrix Factorization: An Active-Set-Like Method and Comparisons", SIAM J. Sci. Comput.,
2011: block principal pivoting. Gradient by implicit differentiation of the optimality (KKT) conditions, as in Fel et
al., CRAFT, 2023 (arXiv 2211.10154).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lit_coiba.functional.precise import fp64_where_possible, working_dtype

_ENTRIES = 2**22  # of the systems that are solved at once: 32 MB of fp64
_BLOCK_EXCHANGES = 3  # without progress, before one variable is exchanged at a time
_RIDGE = 8  # units in the last place, of the diagonal of the systems: rows of the dictionary may depend on one another


def nnls(rows: Tensor, dictionary: Tensor) -> Tensor:
    """The u >= 0 with the least ``||a - u W||^2`` for each row a; gradients flow to `rows`, not to `dictionary`.

    Where coefficients are positive they are a linear function of the row, whose gradient this is; those that are 0
    have gradient 0, and at the border between the two there is no gradient and 0 is taken.

    Args:
        rows: a, ``(..., c)``, of any sign.
        dictionary: W, ``(r, c)``, of any sign; a row of zeros has coefficients 0.

    Returns:
        u, ``(..., r)``, in the type of `rows`, fp32 at least; solved in fp64 where the device has it. NaN for rows that
        are not finite.

    Example:
        >>> nnls(torch.tensor([[1.0, 2.0], [-1.0, 3.0]]), torch.eye(2))
        tensor([[1., 2.],
                [0., 3.]])
    """
    flat = rows.reshape(-1, rows.shape[-1])
    found: Tensor = _NNLS.apply(flat, dictionary.detach())
    return found.to(working_dtype(rows)).reshape(*rows.shape[:-1], len(dictionary))


class _NNLS(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, dictionary: Tensor) -> Tensor:
        unit, norms = _unit_rows(fp64_where_possible(dictionary))
        gram = unit @ unit.T
        gram.diagonal().fill_(1.0)
        products = fp64_where_possible(rows) @ unit.T
        parts = [_solve(gram, part) for part in products.split(_at_once(gram))]
        found = torch.cat(parts) if parts else products
        found = found.masked_fill(~products.isfinite().all(1, keepdim=True), torch.nan)
        ctx.save_for_backward(found > 0, unit, norms, gram)
        return found / norms

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor, None]:
        active, unit, norms, gram = ctx.saved_tensors
        wanted = (fp64_where_possible(cotangents[0]) / norms).masked_fill(~active, 0.0)
        size = _at_once(gram)
        parts = [_restricted(gram, a, v) for a, v in zip(active.split(size), wanted.split(size))]
        gradient = torch.cat(parts) @ unit if parts else wanted @ unit
        return gradient, None


def _unit_rows(dictionary: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of length 1, so that the scale of a concept makes no difference, and what they were divided by."""
    norms = dictionary.norm(dim=1)
    norms = torch.where(norms > 0, norms, 1.0)
    return dictionary / norms.unsqueeze(1), norms


def _at_once(gram: Tensor) -> int:
    return max(1, _ENTRIES // gram.numel())


def _restricted(gram: Tensor, active: Tensor, values: Tensor) -> Tensor:
    """``gram[K, K]^-1 values[K]``, and zeros elsewhere, ``(n, r)``, for the variables K that are `active`."""
    pairs = active.unsqueeze(2) & active.unsqueeze(1)
    ridge = 1 + _RIDGE * torch.finfo(gram.dtype).eps * gram.shape[0]
    systems = torch.where(pairs, gram, 0.0)
    systems.diagonal(dim1=1, dim2=2).fill_(ridge)
    factors, _ = torch.linalg.cholesky_ex(systems)
    right = values.masked_fill(~active, 0.0).unsqueeze(2)
    return torch.cholesky_solve(right, factors).squeeze(2).masked_fill(~active, 0.0)


def _solve(gram: Tensor, products: Tensor) -> Tensor:
    """The solution ``(n, r)`` for inner products ``(n, r)`` of rows and dictionary, by block principal pivoting."""
    count, width = products.shape
    solution = torch.zeros_like(products)
    waiting = torch.arange(count, device=products.device)
    active = torch.zeros_like(products, dtype=torch.bool)
    fewest = torch.full((count,), width + 1, device=products.device)
    tries = torch.full((count,), _BLOCK_EXCHANGES, device=products.device)
    last = torch.arange(width, device=products.device)
    for _ in range(20 * width + 100):
        wanted = products[waiting]
        primal = _restricted(gram, active, wanted)
        dual = (primal @ gram - wanted).masked_fill(active, 0.0)
        solution[waiting] = primal.clamp_min(0)
        least = 16 * width * torch.finfo(gram.dtype).eps * wanted.abs().amax(1, keepdim=True)
        wrong = (active & (primal < 0)) | (~active & (dual < -least))
        faults = wrong.sum(1)
        left = faults > 0
        if not left.any():
            break
        better = faults < fewest
        fewest = torch.where(better, faults, fewest)
        tries = torch.where(better, _BLOCK_EXCHANGES, tries - 1)
        single = wrong & (last == torch.where(wrong, last, -1).amax(1, keepdim=True))
        active = active ^ torch.where((tries >= 0).unsqueeze(1), wrong, single)
        waiting, active, fewest, tries = waiting[left], active[left], fewest[left], tries[left]
    return solution
