"""Insertion and deletion without the model: how far each step goes, what it shows, and the area under its scores."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

AreaRule = Literal["normalized", "quantus", "input_iba"]


def step_counts(units: int, steps: int | None = None, size: int | None = None) -> list[int]:
    """Units (pixels or cells) that are changed after each step, from 0 to all of them: K + 1 numbers.

    Args:
        units: Number of units.
        steps: K, of sizes as equal as whole numbers can be.
        size: Units a step instead; the last step may be smaller.

    Raises:
        ValueError: Neither or both are given, or there are more steps than units.

    Example:
        >>> step_counts(10, steps=4), step_counts(10, size=4)
        ([0, 2, 5, 7, 10], [0, 4, 8, 10])
    """
    if steps is not None and size is None:
        if not 1 <= steps <= units:
            raise ValueError(f"{units} units cannot be changed in {steps} steps")
        return [k * units // steps for k in range(steps + 1)]
    if size is None or steps is not None or size < 1:
        raise ValueError(f"give the number of steps or the units of a step, one of them, not {steps} and {size}")
    return [*range(0, units, size), units]


def log_counts(units: int, steps: int) -> list[int]:
    """Counts from 0 to all units whose ratios are equal as far as whole numbers can be; less of them if there are few.

    Example:
        >>> log_counts(100, 5), log_counts(4, 15)
        ([0, 1, 3, 10, 32, 100], [0, 1, 2, 3, 4])
    """
    last = max(1, steps - 1)
    return [0, *sorted({max(1, round(units ** (k / last))) for k in range(steps)} | {units})]


def shares_removed(places: Tensor, shares: Tensor, counts: Tensor) -> Tensor:
    """Share of an image that is gone with the first `counts` of its cells, ``(B, K)``.

    Args:
        places: Place of each cell in the order of removal, from 0, ``(B, n)``.
        shares: Share of the image that each cell is, ``(B, n)``.
        counts: ``(B, K)``, int64.

    Example:
        >>> shares_removed(torch.tensor([[1, 0]]), torch.tensor([[0.25, 0.75]]), torch.tensor([[0, 1, 2]]))
        tensor([[0.0000, 0.7500, 1.0000]])
    """
    ordered = torch.zeros_like(shares).scatter(1, places, shares)
    gone = torch.cat([torch.zeros_like(ordered[:, :1]), ordered.cumsum(1)], 1)
    return gone.gather(1, counts)


def area_over(curves: Tensor, places: Tensor) -> Tensor:
    """Trapezoid over steps of any width, divided by the whole width; ``(B, K)`` and ``(B, K)`` -> ``(B,)``.

    Example:
        >>> area_over(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.5, 1.0]]))
        tensor([0.2500])
    """
    width = places.diff(dim=1)
    return (width * (curves[:, :-1] + curves[:, 1:])).sum(1) / (2 * width.sum(1))


def curve_at(curves: Tensor, places: Tensor, wanted: Tensor) -> Tensor:
    """Curves ``(B, K)`` over ascending `places` ``(B, K)`` at other places ``(n,)``, by linear interpolation.

    Example:
        >>> curve_at(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([0.0, 0.25, 1.0]))
        tensor([[1.0000, 0.7500, 0.0000]])
    """
    asked = wanted.to(places).expand(len(places), -1).contiguous()
    after = torch.searchsorted(places.contiguous(), asked).clamp(1, places.shape[1] - 1)
    start, end = places.gather(1, after - 1), places.gather(1, after)
    share = ((asked - start) / (end - start)).clamp(0, 1)
    before = curves.gather(1, after - 1)
    return torch.where(share > 0, before + share * (curves.gather(1, after) - before), before)


def perturb(start: Tensor, end: Tensor, ranks: Tensor, counts: Tensor) -> Tensor:
    """Images after a step: the first `counts` pixels come from `end`, with all their channels, the others from `start`.

    Deletion goes from the image to its baseline, insertion from the baseline to the image.

    Args:
        start: ``(B, C, H, W)``.
        end: ``(B, C, H, W)``.
        ranks: Place of each pixel in the order of change ``(B, H, W)``; the pixels of a cell share one.
        counts: Places that are changed, ``(B,)``.

    Example:
        >>> start, end = torch.zeros(1, 1, 1, 3), torch.ones(1, 1, 1, 3)
        >>> perturb(start, end, torch.tensor([[[2, 0, 1]]]), torch.tensor([2]))
        tensor([[[[0., 1., 1.]]]])
    """
    return torch.where((ranks < counts[:, None, None]).unsqueeze(1), end, start)


def area_under_curve(curves: Tensor, rule: AreaRule = "normalized") -> Tensor:
    """Trapezoid over equal steps; ``(B, K + 1)`` -> ``(B,)``.

    Args:
        curves: Scores s_0 ... s_K.
        rule: ``normalized``: (sum - (first + last) / 2) / K, the rule of RISE, of Xplique and of the authors of CoIBA;
            it lies between the smallest and the largest score. ``quantus``: without s_0, and a step is 1 wide, so that
            it grows with K. ``input_iba``: without s_0, and a step is 1 / K wide.

    Example:
        >>> curve = torch.tensor([[1.0, 0.6, 0.3, 0.1, 0.0]])
        >>> area_under_curve(curve), area_under_curve(curve, "quantus"), area_under_curve(curve, "input_iba")
        (tensor([0.3750]), tensor([0.7000]), tensor([0.1750]))
    """
    if rule == "normalized":
        return (curves[:, :-1] + curves[:, 1:]).mean(1) / 2
    steps = curves.shape[1] - 1
    found = (curves[:, 1:-1] + curves[:, 2:]).sum(1) / 2
    found = found.masked_fill(curves.isnan().any(1), torch.nan)
    return found if rule == "quantus" else found / steps


def resample_curve(curves: Tensor, points: int) -> Tensor:
    """Curves ``(B, K + 1)`` at `points` equally spaced shares of their steps, by linear interpolation.

    Example:
        >>> resample_curve(torch.tensor([[1.0, 0.0]]), 3)
        tensor([[1.0000, 0.5000, 0.0000]])
    """
    if curves.shape[1] == points:
        return curves
    return interpolate(curves.unsqueeze(1), size=points, mode="linear", align_corners=True).squeeze(1)
