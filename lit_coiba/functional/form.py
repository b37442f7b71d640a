"""What a map is like, whatever the model does: how spread out, how sparse, how much in one place."""

import torch
from torch import Tensor

from lit_coiba.functional.ranking import ranks


def map_entropy(maps: Tensor) -> Tensor:
    """Entropy of the absolute values of maps ``(B, h, w)`` as shares of their sum, in nats, ``(B,)``.

    Bhatt, Weller and Moura, "Evaluating and Aggregating Feature-based Model Explanations", 2020 (arXiv 2005.00631). NaN
    for a map that is zero everywhere.

    Example:
        >>> map_entropy(torch.tensor([[[2.0, -1.0, 1.0]]])) / torch.tensor(2.0).log()
        tensor([1.5000])
    """
    sizes = maps.abs().flatten(1)
    return torch.special.entr(sizes / sizes.sum(1, keepdim=True)).sum(1)


def gini(maps: Tensor) -> Tensor:
    """Gini index of the absolute values of maps ``(B, h, w)``, ``(B,)``: 0 for equal ones, 1 - 1/n for a single one.

    Chalasani et al., "Concise Explanations of Neural Networks using Adversarial Training", 2020 (arXiv 1810.06583). NaN
    for a map that is zero everywhere.

    Example:
        >>> gini(torch.tensor([[[1.0, -2.0], [4.0, 3.0]]]))
        tensor([0.2500])
    """
    ordered = maps.abs().flatten(1).sort(1).values
    count = ordered.shape[1]
    weights = 2 * torch.arange(1, count + 1, dtype=maps.dtype, device=maps.device) - count - 1
    return (weights * ordered).sum(1) / (count * ordered.sum(1))


def highest_cells(values: Tensor, share: float) -> Tensor:
    """Where the highest values are, ``round(share * n)`` cells of each map; ``(B, h, w)`` -> bool ``(B, h, w)``.

    Of equal values the first in reading order come first.

    Example:
        >>> highest_cells(torch.tensor([[[1.0, 3.0], [3.0, 3.0]]]), 0.5)
        tensor([[[False,  True],
                 [ True, False]]])
    """
    return ranks(values) < round(share * values[0].numel()) if len(values) else values.bool()


def compactness(cells: Tensor, length: Tensor, area: Tensor, diagonal: float) -> Tensor:
    """Compactness of cells from their spanning tree and their hull, ``(B,)``, in percent of the diagonal.

    MST-C (arXiv 2603.29491): ``100 * diagonal / sqrt(area) * cells / length``.

    Args:
        cells: Numbers of cells ``(B,)``.
        length: Lengths of their Euclidean minimum spanning trees ``(B,)``, in cells.
        area: Areas of their convex hulls ``(B,)``, in cells squared.
        diagonal: Diagonal of the map, in cells.

    Example:
        >>> block = [torch.tensor([value]) for value in (4, 3.0, 1.0)]
        >>> compactness(*block, diagonal=3.0)  # two by two
        tensor([400.])
    """
    return cells / (area.sqrt() * length) * (100 * diagonal)


def harmonic_mean(parts: Tensor) -> Tensor:
    """Harmonic mean of the columns of ``(B, n)``, ``(B,)``: 0 where one of them is 0.

    Example:
        >>> harmonic_mean(torch.tensor([[0.9, 0.8, 0.6], [0.9, 0.0, 0.6]]))
        tensor([0.7448, 0.0000])
    """
    return parts.shape[1] / (1 / parts).sum(1)
