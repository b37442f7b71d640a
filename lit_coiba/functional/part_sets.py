"""Sets of parts, and which of them tell a class: what protocols that remove parts of objects are about.

A set of P parts is bool ``(P,)``; its number has bit p where it has part p, so that tables over all sets are ``(2^P)``.
"""

import torch
from torch import Tensor


def part_subsets(parts: int) -> Tensor:
    """All sets of so many parts, by number, bool ``(2^P, P)``.

    Example:
        >>> part_subsets(2)
        tensor([[False, False],
                [ True, False],
                [False,  True],
                [ True,  True]])
    """
    numbers = torch.arange(2**parts).unsqueeze(-1)
    return (numbers >> torch.arange(parts)) % 2 == 1


def subset_number(present: Tensor) -> Tensor:
    """The number of each set, bool ``(..., P)`` -> int64 ``(...)``.

    Example:
        >>> subset_number(torch.tensor([True, False, True]))
        tensor(5)
    """
    return (present.long() << torch.arange(present.shape[-1], device=present.device)).sum(-1)


def minimal_sufficient_sets(classes: Tensor) -> Tensor:
    """Which sets of parts tell a class from all others, and would not with a part less: ``(K, P)`` -> ``(K, 2^P)``.

    Args:
        classes: Variant of each part of each class, int64.

    Returns:
        Bool, by the number of the set; none where another class has the same variants.

    Example:
        >>> minimal_sufficient_sets(torch.tensor([[0, 0], [0, 1], [1, 1]])).nonzero().tolist()
        [[0, 2], [1, 3], [2, 1]]
    """
    parts = classes.shape[1]
    subsets = part_subsets(parts).to(classes.device)
    shared = classes.unsqueeze(1) == classes  # (K, K, P)
    confused = ~(subsets[:, None, None] & ~shared).any(-1)  # (2^P, K, K): the set's variants are those of both
    sufficient = (confused.sum(-1) == 1).T  # (K, 2^P): only the class itself has them
    numbers, minimal = torch.arange(2**parts, device=classes.device), sufficient.clone()
    for part in range(parts):
        minimal &= ~(subsets[:, part] & sufficient[:, numbers & ~(1 << part)])
    return minimal


def disjoint_sharers(classes: Tensor) -> Tensor:
    """Two classes that share two parts each with a class, the four parts being different; int64 ``(K, 2)``.

    The first such two by number, as in the released code of FunnyBirds; -1 where a class has none.

    Args:
        classes: Variant of each part of each class, int64 ``(K, P)``.

    Example:
        >>> disjoint_sharers(torch.tensor([[0, 0, 0, 0], [0, 0, 1, 1], [1, 1, 0, 0]]))[0]
        tensor([1, 2])
    """
    shared = classes.unsqueeze(1) == classes  # (K, K, P)
    pairs = shared.sum(-1) == 2
    meet = (shared.unsqueeze(2) & shared.unsqueeze(1)).any(-1)  # (K, K, K)
    found = (pairs.unsqueeze(2) & pairs.unsqueeze(1) & ~meet).flatten(1)  # by the number of the two
    first = torch.where(found.any(1), found.long().argmax(1), -1)
    count = len(classes)
    both = torch.stack([torch.div(first, count, rounding_mode="floor"), first % count], 1)
    return torch.where(first.unsqueeze(1) < 0, -1, both)
