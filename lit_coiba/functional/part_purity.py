"""Part purity: do the patches of a prototype show the same part of the object?

Nauta et al., "PIP-Net", 2023 (CVPR), with the rules of its public code. What differs: a patch holds its upper and left
edge, but not its lower and right one, so that neighbors share no point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

LEFT_RIGHT = {
    f"{side} {part}": part for part in ("eye", "leg", "wing") for side in ("left", "right")
}  # of CUB-200-2011

Share = Literal["visible", "patches"]


class PartPurity(NamedTuple):
    """What the patches of each prototype show."""

    units: Tensor  # (U,) int64, ascending
    patches: Tensor  # (U,) int64: how many each has
    purity: Tensor  # (U,) fp64: the largest share of its patches that show the same part
    part: Tensor  # (U,) int64: that part; of equal shares the one in more patches
    frequent_purity: Tensor  # (U,) fp64: the share of the part that is in most of its patches
    frequent_part: Tensor  # (U,) int64

    def summary(self, threshold: float = 0.5) -> dict[str, float]:
        """Mean and standard deviation (divisor U) over prototypes, and how many are purer than `threshold`."""
        return {
            "mean": self.purity.mean().item(),
            "std": self.purity.std(correction=0).item(),
            "frequent_mean": self.frequent_purity.mean().item(),
            "frequent_std": self.frequent_purity.std(correction=0).item(),
            "prototypes": len(self.units),
            "part_related": int((self.purity > threshold).sum()),
        }


def part_purity(inside: Tensor, visible: Tensor, units: Tensor, share: Share = "visible") -> PartPurity:
    """Purity of prototypes from which parts lie in each of their patches.

    Args:
        inside: Parts in each patch ``(N, P)``, bool.
        visible: Parts that can be seen in the picture of each patch ``(N, P)``, bool.
        units: The prototype of each patch ``(N,)``, int64.
        share: Denominator of the shares: ``visible`` = for each part, the patches from images that show it, as in the
            public code; ``patches`` = all patches of the prototype.

    Example:
        >>> inside = torch.tensor([[True, False], [True, False], [False, False]])
        >>> part_purity(inside, torch.ones(3, 2, dtype=torch.bool), torch.tensor([4, 4, 9])).purity
        tensor([1., 0.], dtype=torch.float64)
    """
    found, rows, patches = torch.unique(units, return_inverse=True, return_counts=True)
    empty = torch.zeros(len(found), inside.shape[1], dtype=torch.float64, device=inside.device)
    counts = empty.index_add(0, rows, (inside & visible).double())
    of = empty.index_add(0, rows, visible.double()) if share == "visible" else patches[:, None].double()
    shares = counts / of.clamp_min(1)
    purity = shares.amax(1)
    part = torch.where(shares == purity[:, None], counts, -1).argmax(1)
    frequent = counts.argmax(1)
    return PartPurity(found, patches, purity, part, shares.gather(1, frequent[:, None])[:, 0], frequent)


def centre_cropped(boxes: Tensor, size: int = 32) -> Tensor:
    """Boxes ``(N, 4)`` (top, left, bottom, right) whose sides are cut to `size` pixels about their middle.

    The larger the patch, the purer it would seem.

    Example:
        >>> centre_cropped(torch.tensor([[0, 0, 40, 10]]))
        tensor([[ 4,  0, 36, 10]])
    """
    first, last = boxes[:, :2], boxes[:, 2:]
    excess = (last - first - size).clamp_min(0)
    first = first + torch.div(excess, 2, rounding_mode="floor")
    return torch.cat([first, torch.minimum(last, first + size)], 1)


def parts_inside(boxes: Tensor, xy: Tensor, visible: Tensor) -> Tensor:
    """Which parts each box holds: ``(N, 4)``, ``(N, P, 2)`` and bool ``(N, P)`` -> bool ``(N, P)``.

    Args:
        boxes: Top, left, bottom, right in pixels; the latter two are the first row and column outside.
        xy: Points, continuous coordinates: 0 = the left (upper) edge of the image.
        visible: Whether a point can be seen; one that cannot lies in no box.
    """
    boxes = boxes.to(xy.dtype)
    yx = xy.flip(-1)
    return ((yx >= boxes[:, None, :2]) & (yx < boxes[:, None, 2:])).all(-1) & visible


def merged_names(names: Sequence[str], table: Mapping[str, str] = LEFT_RIGHT) -> tuple[tuple[str, ...], Tensor]:
    """Names of parts after those of one name in `table` have become one, and which of them each part is ``(P,)``.

    Example:
        >>> merged_names(["beak", "left eye", "right eye"])
        (('beak', 'eye'), tensor([0, 1, 1]))
    """
    merged = [table.get(name, name) for name in names]
    kept = tuple(dict.fromkeys(merged))
    return kept, torch.tensor([kept.index(name) for name in merged], dtype=torch.long)


def merge_parts(values: Tensor, into: Tensor) -> Tensor:
    """Any of the parts that are one: bool ``(N, P)`` -> bool ``(N, M)``, `into` being what `merged_names` gives."""
    count = int(into.max()) + 1 if len(into) else 0
    counts = torch.zeros(len(values), count, dtype=torch.int64, device=values.device)
    return counts.index_add(1, into.to(values.device), values.long()) > 0
