"""AggAtt: the mean map of the best, the middling and the worst samples on one scale, with an example of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import counted
from lit_coiba.functional import cell_values, resize_map
from lit_coiba.pictures.numbers import rounded
from lit_coiba.pictures.outline import outlined
from lit_coiba.pictures.page import FADED, Page, fitted, pil_of
from lit_coiba.pictures.painting import colors, painted, painted_over
from lit_coiba.pictures.scale import Scale

EDGES = (0, 2, 5, 50, 95, 98, 100)  # percent of the samples, the best first: the paper's
CLIPPED = 0.005  # share of the values of all mean maps that is above the scale: the paper's
_SIDE, _GAP, _MARGIN, _NAMES, _HEADER = 150, 8, 20, 84, 96


class Bin(NamedTuple):
    """Some samples that follow one another in the order of their scores."""

    title: str  # "2-5%"
    rows: Tensor  # numbers of the samples, the best first
    mean: Tensor  # (h, w): mean of their maps


def agg_att(
    scores: Tensor, maps: Tensor, images: Sequence[Tensor], title: str = "", regions: Tensor | None = None
) -> Image.Image:
    """Draw samples in bins by their scores: mean maps, and beside each a sample from the middle of its bin.

    Rao, Boehle and Schiele, "Towards Better Understanding Attribution Methods", 2022 (arXiv 2205.10435), section 4. Of
    a map only what is positive counts, as a share of its sum, so that no image outweighs others (ours).

    Args:
        scores: Score of each sample ``(S,)``, such as those of `GridPointing`; NaN = it is left out.
        maps: Their maps ``(S, h, w)``.
        images: Their pictures, ``(3, H, W)`` uint8 each, of which one for each bin is asked for.
        title: What stands above.
        regions: Cells that are explained, ``(S, H, W)`` bool. Mean maps are then moved cyclically, so that each cell
            lies at the top left; without, the cells of all samples have to be the same.

    Raises:
        InputError: No sample has a score, or their numbers differ.

    Example:
        >>> pictures = torch.zeros(50, 3, 32, 32, dtype=torch.uint8)
        >>> agg_att(torch.rand(50), torch.rand(50, 4, 4), pictures, "Grad-CAM").width
        1064
    """
    known = scores.detach().cpu().double()
    if not len(known) == len(maps) == len(images) or (regions is not None and len(regions) != len(known)):
        raise InputError(
            f"scores are {len(known)}, maps {len(maps)} and images {len(images)}: give one of each a sample"
        )
    if known.isnan().all():
        raise InputError("scores: no sample has one, so there is nothing to draw")
    maps = maps.detach().cpu().float()
    bins = binned(known, maps if regions is None else at_top_left(maps, regions))
    scale = common_scale([shown(one.mean) for one in bins])
    page = Page(2 * _MARGIN + _NAMES + len(bins) * (_SIDE + _GAP) - _GAP, _HEADER + 3 * (_SIDE + _GAP) + 44)
    missing = int(known.isnan().sum())
    more = f", {counted(missing, 'sample')} without a score" if missing else ""
    page.text(_MARGIN, 28, title or "AggAtt", page.width - 2 * _MARGIN, 12, bold=True)
    page.text(_MARGIN, 44, f"{counted(len(known) - missing, 'sample')}, the best first{more}", size=9, color=FADED)
    for row, name in enumerate(("mean map", "example", "its map")):
        page.text(_MARGIN, _HEADER + row * (_SIDE + _GAP) + _SIDE / 2, name, _NAMES - 8)
    for column, one in enumerate(bins):
        x = _MARGIN + _NAMES + column * (_SIDE + _GAP)
        ends = known[one.rows[[0, -1]]].tolist() if len(one.rows) else []
        told = f"{len(one.rows)}, {' to '.join(map(rounded, ends))}" if ends else "none"
        page.text(x + _SIDE / 2, _HEADER - 22, one.title, _SIDE, 10, bold=True, align="center")
        page.text(x + _SIDE / 2, _HEADER - 8, told, _SIDE, 8.5, FADED, align="center")
        if not ends:
            continue
        middle = int(one.rows[len(one.rows) // 2])
        region = None if regions is None else regions[middle].cpu()
        picture = fitted(images[middle].cpu(), (_SIDE, _SIDE))
        own = shown(maps[middle].clamp_min(0))
        panels = [painted(shown(one.mean), (_SIDE, _SIDE), scale), picture, painted_over(picture, own)]
        for row, panel in enumerate(panels):
            page.picture(x, _HEADER + row * (_SIDE + _GAP), outlined(panel, region) if row else panel)
    _draw_bar(page, scale)
    return pil_of(page.pixels())


def binned(scores: Tensor, maps: Tensor) -> list[Bin]:
    """Samples in bins by their scores ``(S,)``, the best first, and the mean of their maps ``(S, h, w)``.

    Of equal scores the first sample comes first; NaN is left out. A bin may be empty.
    """
    order = torch.argsort(-scores.nan_to_num(-torch.inf), stable=True)[: int((~scores.isnan()).sum())]
    positive = maps.clamp_min(0).nan_to_num(0, 0, 0)
    shares = positive / positive.sum((-2, -1), keepdim=True).clamp_min(torch.finfo(maps.dtype).tiny)
    ends = [round(edge * len(order) / 100) for edge in EDGES]
    found = []
    for low, high, first, last in zip(EDGES, EDGES[1:], ends, ends[1:]):
        rows = order[first:last]
        mean = shares[rows].mean(0) if len(rows) else torch.zeros_like(maps[0])
        found.append(Bin(f"{low}-{high}%", rows, mean))
    return found


def at_top_left(maps: Tensor, regions: Tensor) -> Tensor:
    """Maps ``(S, h, w)`` moved cyclically, so that the first row and column of their regions ``(S, H, W)`` are theirs.

    Maps are enlarged to the regions' size where their cells would not fit.
    """
    size = regions.shape[-2], regions.shape[-1]
    starts = [(int(region.any(1).int().argmax()), int(region.any(0).int().argmax())) for region in regions.cpu()]
    fits = all(
        start * cells % pixels == 0 for pair in starts for start, cells, pixels in zip(pair, maps.shape[-2:], size)
    )
    values = maps if fits else resize_map(maps, size)
    height, width = values.shape[-2:]
    moved = [
        one.roll((-(row * height // size[0]), -(column * width // size[1])), (0, 1))
        for one, (row, column) in zip(values, starts)
    ]
    return torch.stack(moved)


def shown(values: Tensor) -> Tensor:
    """A map ``(h, w)`` with at most a cell for each pixel that it is drawn in: averaged, not sampled."""
    height, width = values.shape
    return cell_values(values[None], (min(height, _SIDE), min(width, _SIDE)))[0]


def common_scale(maps: list[Tensor]) -> Scale:
    """From 0 to the value that all but 0.5% of the values of all maps are below."""
    values = torch.cat([values.flatten() for values in maps]).double()
    return Scale(0.0, float(values.quantile(1 - CLIPPED)) or float(values.max()))


def _draw_bar(page: Page, scale: Scale) -> None:
    """What the colors of the mean maps stand for."""
    x, y = _MARGIN + _NAMES, page.height - 36
    page.picture(x, y, colors(torch.linspace(0, 1, _SIDE).expand(10, -1)))
    page.text(x, y + 24, "0", size=8.5, color=FADED)
    page.text(x + _SIDE, y + 24, f"{rounded(scale.high)} of a map", size=8.5, color=FADED, align="right")
