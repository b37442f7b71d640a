"""The samples that each unit answers to most, found in one pass with memory that does not grow with the dataset."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Score = Literal["max", "sum"]

_COLUMNS = 4096  # patches that are compared at a time


class Strongest(NamedTuple):
    """For each side and unit the n strongest samples, the strongest first; a sample comes once."""

    strengths: Tensor  # (S, U, n) float32, descending; -inf = there is no more
    samples: Tensor  # (S, U, n) int64; -1 = there is no more
    cells: Tensor  # (S, U, n) int64: the position of the extremum, row-major; -1 likewise


def strongest(maps: Tensor, samples: Tensor, count: int, score: Score = "max", sides: int = 1) -> Strongest:
    """The strongest of some samples.

    The strength on the positive side is a map's maximum or the sum over its positions (EPIC, arXiv 2505.12897, ranks by
    the sum and looks at the maximum), on the negative side that of minus the map. Of equal strengths the sample that
    comes first counts, of equal positions the first. Samples whose map is not finite are left out.

    Args:
        maps: ``(B, U, h, w)``.
        samples: Numbers of the samples ``(B,)``, not negative.
        count: n.
        score: What a strength is.
        sides: 1 = positive, 2 = positive and negative.

    Example:
        >>> found = strongest(torch.tensor([[[[1.0, 3.0]]], [[[-5.0, 2.0]]]]), torch.tensor([7, 8]), count=1, sides=2)
        >>> found.strengths.flatten(), found.samples.flatten(), found.cells.flatten()
        (tensor([3., 5.]), tensor([7, 8]), tensor([1, 0]))
    """
    flat = maps.detach().float().flatten(2)
    both = torch.stack([flat, -flat][:sides])  # (S, B, U, positions)
    peaks, cells = both.max(-1)
    strengths = peaks if score == "max" else both.sum(-1)
    strengths = torch.where(strengths.isfinite(), strengths, -torch.inf)
    numbers = samples.to(cells.device)[None, :, None].expand_as(cells)
    found = Strongest(*(values.transpose(1, 2) for values in (strengths, numbers, cells)))
    return _first(found, count)


def merge_strongest(earlier: Strongest, later: Strongest) -> Strongest:
    """The strongest of two groups of samples; where strengths are equal, those of `earlier` come first."""
    count = earlier.strengths.shape[-1]
    return _first(Strongest(*(torch.cat([a, b], -1) for a, b in zip(earlier, later))), count)


def duplicates(found: Strongest, share: float = 0.5) -> Tensor:
    """Pairs of units that show the same: more than `share` of one's strongest patches, two at least, are the other's.

    A patch is a sample, a position in it, and the side of the unit.

    Returns:
        ``(P, 2)`` int64, the lower unit first, in order.

    Example:
        >>> cells = torch.tensor([[[0, 1], [0, 1], [2, 3]]])
        >>> duplicates(Strongest(torch.ones(1, 3, 2), torch.zeros(1, 3, 2, dtype=torch.int64), cells))
        tensor([[0, 1]])
    """
    found = Strongest(*(values.cpu() for values in found))
    sides = torch.arange(len(found.strengths)).view(-1, 1, 1)
    stride = max(int(found.cells.max()), 0) + 1
    numbers = ((found.samples * stride + found.cells) * len(sides) + sides).transpose(0, 1).flatten(1)  # (U, S n)
    there = (found.strengths > 0).transpose(0, 1).flatten(1)
    sizes = there.sum(-1)
    units = torch.arange(len(there)).unsqueeze(1).expand_as(there)[there]
    columns = numbers[there].unique(return_inverse=True)[1]
    common = torch.zeros(len(there), len(there))
    for start in range(0, int(columns.max()) + 1 if len(columns) else 0, _COLUMNS):
        here = (columns >= start) & (columns < start + _COLUMNS)
        table = torch.zeros(len(there), _COLUMNS)
        table[units[here], columns[here] - start] = 1
        common += table @ table.T
    first, second = common.triu(1).nonzero(as_tuple=True)
    shared = common[first, second]
    smaller = torch.minimum(sizes[first], sizes[second])
    same = (shared > share * smaller) & (shared >= 2)
    return torch.stack([first[same], second[same]], 1)


def _first(found: Strongest, count: int) -> Strongest:
    """The `count` strongest, padded where there are fewer; those of -inf are none."""
    order = found.strengths.sort(dim=-1, descending=True, stable=True).indices[..., :count]
    kept = Strongest(*(values.gather(-1, order) for values in found))
    missing, fill = count - order.shape[-1], (-torch.inf, -1, -1)
    strengths, samples, cells = (torch.nn.functional.pad(v, (0, missing), value=f) for v, f in zip(kept, fill))
    none = strengths.isneginf()
    return Strongest(strengths, samples.masked_fill(none, -1), cells.masked_fill(none, -1))
