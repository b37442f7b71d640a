"""The concepts of a class on a page: a line for each, with what it does for the logit and its strongest crops."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageColor
from torch import Tensor

from lit_coiba.concepts.class_report import ConceptReport
from lit_coiba.concepts.concept_run import ConceptRun
from lit_coiba.core.errors import InputError, check_count
from lit_coiba.pictures.page import FADED, Page, fitted

SIDE = 72  # pixels of a crop
LARGEST = 4096  # pixels of a side of a picture that is read

_GAP, _MARGIN, _TEXT, _HEADER = 6, 16, 236, 40


def concept_sheet(
    run: ConceptRun, cls: int, file: str | Path, crops: int = 8, concepts: int | None = None, maps: bool = False
) -> Path:
    """Draw the concepts of a class, those that raise its logit most at the top.

    Args:
        run: The concepts.
        cls: Number of the class.
        file: The PNG to write.
        crops: Number of crops of each concept.
        concepts: Number of concepts at most; None = all.
        maps: Whether whole images with the map of the concept are drawn in the place of crops.

    Returns:
        The file.

    Raises:
        InputError: The class has no concepts, or a file of the run is damaged.
    """
    check_count(crops=crops, **({} if concepts is None else {"concepts": concepts}))
    report = run.report(cls)
    if report.reason:
        raise InputError(f"class {cls} has no concepts: {report.reason}")
    order = sorted(range(len(report.concepts)), key=lambda k: -report.concepts[k].contribution.mean)[:concepts]
    rows = run.crops(cls).select(["concept", "rank", "map" if maps else "crop"]).to_pylist()
    width, height = _TEXT + crops * (SIDE + _GAP), SIDE + _GAP
    page = Page(2 * _MARGIN + width, 2 * _MARGIN + _HEADER + len(order) * height)
    error = "" if report.residual is None else f", {abs(report.residual):.2f} of it not accounted for"
    page.text(_MARGIN, _MARGIN + 12, f"{report.name} ({cls})", width, 12, bold=True)
    about = f"{report.layer}; {report.used} images; mean logit {report.logit:.2f}{error}"
    page.text(_MARGIN, _MARGIN + 28, about, width, 8.5, FADED)
    for line, number in enumerate(order):
        top = _MARGIN + _HEADER + line * height
        one = report.concepts[number]
        page.picture(_MARGIN, top, _plain(one.color, SIDE, 4))
        for place, text in enumerate(_told(number, one)):
            page.text(
                _MARGIN + 12, top + 16 + 16 * place, text, _TEXT - 16, 8.5, FADED if place else one.color, not place
            )
        chosen = sorted((row for row in rows if row["concept"] == number), key=lambda row: row["rank"])[:crops]
        for place, row in enumerate(chosen):
            pixels = _decoded(row["map" if maps else "crop"], run, cls)
            page.picture(_MARGIN + _TEXT + place * (SIDE + _GAP), top, pixels)
    return page.save(file)


def _told(number: int, one: ConceptReport) -> tuple[str, ...]:
    """What is said of a concept, in lines."""
    low, high = one.deletion.low, one.deletion.high
    interval = f" [{low:+.2f}, {high:+.2f}]" if low != high else ""  # of a single image there is none
    deleted = f"without it {one.deletion.mean:+.2f}{interval}"
    stable = "" if one.stability is None else f", stability {one.stability:.2f}"
    return f"concept {number}: {one.share:.0%} of the logit", deleted, f"importance {one.importance:.2f}{stable}"


def _plain(color: str, height: int, width: int) -> Tensor:
    """A rectangle of one color, ``(3, h, w)``."""
    return torch.tensor(ImageColor.getrgb(color)[:3], dtype=torch.uint8)[:, None, None].expand(3, height, width)


def _decoded(content: bytes, run: ConceptRun, cls: int) -> Tensor:
    """A picture of a table as a square of `SIDE` pixels, on white."""
    try:
        with Image.open(io.BytesIO(content), formats=("WEBP",)) as picture:
            if max(picture.size) > LARGEST:
                raise OSError(f"a picture has {picture.width} x {picture.height} pixels")
            pixels = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"concepts: a picture of class {cls} in {run.path} is damaged: {error}") from error
    share = SIDE / max(pixels.shape[1:])
    small = fitted(pixels, (max(1, round(pixels.shape[1] * share)), max(1, round(pixels.shape[2] * share))))
    square = torch.full((3, SIDE, SIDE), 255, dtype=torch.uint8)
    square[:, : small.shape[1], : small.shape[2]] = small
    return square
