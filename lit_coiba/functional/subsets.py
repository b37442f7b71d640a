"""Random subsets of the parts of an image, drawn by the sample's id, and what a map says of them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from lit_coiba.functional.noise import keyed_noise, uniform
from lit_coiba.functional.precise import fp64_where_possible


def keyed_subsets(seed: int, ids: Sequence[str], name: str, shape: tuple[int, int], probability: float) -> Tensor:
    """Subsets whose members are drawn independently, bool ``(B, subsets, units)`` on the CPU.

    Args:
        seed: Seed of the draws; see `keyed_noise`.
        ids: B ids of samples.
        name: What they are for.
        shape: Number of subsets, and of units.
        probability: Probability of a unit to be a member.

    Example:
        >>> keyed_subsets(0, ["a"], "subsets", (1000, 5), 0.2).double().mean()
        tensor(0.1888, dtype=torch.float64)
    """
    return uniform(keyed_noise(seed, ids, name, shape).double()) < probability


def prefix_sums(values: Tensor, places: Tensor, sizes: list[int]) -> Tensor:
    """Sum of the values that come first in each order, fp64: ``(n,)``, places ``(m, n)`` -> ``(len(sizes), m)``.

    Args:
        values: A value of each unit.
        places: Place of each unit in each order, from 0.
        sizes: How many come first, 1 to n.

    Example:
        >>> import torch
        >>> prefix_sums(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([[0, 1, 2], [2, 1, 0]]), [1, 2])
        tensor([[1., 4.],
                [3., 6.]], dtype=torch.float64)
    """
    exact = fp64_where_possible(values).expand(places.shape)
    ordered = exact.new_empty(places.shape).scatter_(1, places, exact)
    return ordered.cumsum(1)[:, [size - 1 for size in sizes]].T


def subset_sums(values: Tensor, subsets: Tensor) -> Tensor:
    """Sum of `values` over the members of each subset, fp64: ``(B, n)``, bool ``(B, m, n)`` -> ``(B, m)``.

    Example:
        >>> import torch
        >>> subset_sums(torch.tensor([[1.0, 2.0]]), torch.tensor([[[True, True], [False, True]]]))
        tensor([[3., 2.]], dtype=torch.float64)
    """
    exact = fp64_where_possible(values)
    return (subsets.to(exact.dtype) * exact.unsqueeze(1)).sum(-1)
