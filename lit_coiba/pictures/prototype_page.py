"""Pages of prototypes: what the units of a head answer to, and which units speak for a class."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from lit_coiba.pictures.names import class_name
from lit_coiba.pictures.numbers import rounded_signed
from lit_coiba.pictures.page import ALERT, FADED, Page, fitted
from lit_coiba.pictures.page_folder import page_folder
from lit_coiba.prototypes import Patch, Prototypes
from lit_coiba.prototypes.patches import Box

UNITS, CLASSES = "units", "classes"  # folders
ROWS = 10  # units of a page
SIDE = 84  # pixels of a crop
SHOWN = 5  # patches of a side of a unit
OF_CLASS = 5  # units on the page of a class

_GAP, _MARGIN, _LEFT, _HEADER, _BELOW = 6, 24, 190, 64, 34
FRAME = {1: torch.tensor([255, 221, 51]), -1: torch.tensor([86, 180, 255])}  # around the cell: yellow for, blue against


def draw_pages(
    prototypes: Prototypes,
    folder: Path,
    pages: int,
    report_progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Draw pages of the units that can add most to a logit, and of classes; what an earlier call drew is replaced.

    Args:
        prototypes: The prototypes.
        folder: Folder to write: ``units/01.png`` and so on, ``classes/000_tench.png``.
        pages: Largest number of pages of each kind.
        report_progress: Called with how many are done, of how many.
    """
    important = prototypes.important
    parts = [important[start : start + ROWS] for start in range(0, len(important), ROWS)][:pages]
    own = (prototypes.summary["own"] or [])[:pages]
    with page_folder(folder / UNITS) as drawn:
        for number, units in enumerate(parts):
            first = number * ROWS
            order = "their strongest patch" if prototypes.summary["users"] is None else "what they can add to a logit"
            title = f"Units {first + 1} to {first + len(units)} of {prototypes.units}, by {order}"
            unit_page(prototypes, units, title).save(drawn / f"{number + 1:02d}.png")
            report_progress(number + 1, len(parts) + len(own))
    with page_folder(folder / CLASSES) as drawn:
        for number, strongest in enumerate(own):
            units, weights = [unit for unit, _ in strongest[:OF_CLASS]], [weight for _, weight in strongest[:OF_CLASS]]
            title = f"{class_name(number, prototypes.classes)}: the units of largest weight"
            unit_page(prototypes, units, title, weights).save(drawn / f"{page_name(number, prototypes.classes)}.png")
            report_progress(len(parts) + number + 1, len(parts) + len(own))


def unit_page(prototypes: Prototypes, units: Sequence[int], title: str, weights: Sequence[float] | None = None) -> Page:
    """Units in rows: their strongest patches, and on the right the most negative ones where these are evidence too.

    A patch is shown with what is around it; a frame is around the cell itself, and its score and the class of its image
    are below.

    Args:
        prototypes: The prototypes.
        units: Units to show, at least one.
        title: Title of the page.
        weights: Weight of each unit for a class, if the page is about one; None = name the classes that use a unit
            most.
    """
    sides = (1, -1)[: prototypes.summary["sides"]]
    split = {"train": "training", "predict": "explained"}.get(prototypes.split, prototypes.split)
    block = SHOWN * (SIDE + _GAP)
    width, step = _MARGIN + _LEFT + len(sides) * (block + _MARGIN), SIDE + _BELOW
    page = Page(width, _HEADER + len(units) * step)
    page.text(_MARGIN, 30, title, page.width - 2 * _MARGIN, 13, bold=True)
    for place, side in enumerate(sides):
        about = f"strongest patches of the {split} images" if side > 0 else "most negative patches"
        page.text(_MARGIN + _LEFT + place * (block + _MARGIN), 52, about, block, 9, FADED)
    for row, unit in enumerate(units):
        y = _HEADER + row * step
        _write_unit(page, prototypes, unit, y, None if weights is None else weights[row])
        for place, side in enumerate(sides):
            patches = [patch for patch in prototypes.of(unit, side, SHOWN) if patch.crop is not None]
            x = _MARGIN + _LEFT + place * (block + _MARGIN)
            if not patches:
                page.text(x, y + SIDE / 2, "none", color=FADED)
            for number, patch in enumerate(patches):
                draw_patch(page, patch, prototypes.classes, x + number * (SIDE + _GAP), y)
    return page


def draw_patch(page: Page, patch: Patch, classes: list[str], x: int, y: int, side: int = SIDE) -> None:
    """Draw a patch that has a crop, its score and the class of its image, with its top left corner at (x, y)."""
    assert patch.crop is not None
    assert patch.inner is not None
    page.picture(x, y, framed(patch.crop, patch.inner, side, FRAME[patch.side]))
    score = page.text(x, y + side + 12, rounded_signed(patch.score), side, 7.5, FADED)
    if patch.label >= 0:
        page.text(x + score + 4, y + side + 12, class_name(patch.label, classes), side - score - 4, 7.5, FADED)


def framed(pixels: Tensor, box: Box, side: int, color: Tensor) -> Tensor:
    """A picture ``(3, h, w)`` uint8 at `side` x `side` pixels with a frame of two pixels around a box of it."""
    height, width = pixels.shape[1:]
    picture = fitted(pixels, (side, side)).clone()
    top, bottom = (round(edge * side / height) for edge in (box.top, box.bottom))
    left, right = (round(edge * side / width) for edge in (box.left, box.right))
    inside = torch.zeros(side, side, dtype=torch.bool)
    inside[max(top, 0) : bottom, max(left, 0) : right] = True
    inside[max(top + 2, 2) : min(bottom - 2, side - 2), max(left + 2, 2) : min(right - 2, side - 2)] = False
    picture[:, inside] = color.to(torch.uint8).unsqueeze(1)
    return picture


def page_name(number: int, classes: list[str]) -> str:
    """The name of the page of a class: its number, so that files are in order, and its name as far as it is plain."""
    name = classes[number] if number < len(classes) else ""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:40]
    return f"{number:03d}_{plain}" if plain else f"{number:03d}"


def _write_unit(page: Page, prototypes: Prototypes, unit: int, y: int, weight: float | None) -> None:
    page.text(_MARGIN, y + 14, f"unit {unit}", _LEFT - 10, 10, bold=True)
    if state := "dead" if unit in prototypes.dead else "unused" if unit in prototypes.unused else "":
        page.text(_MARGIN + 70, y + 14, state, _LEFT - 80, 9, ALERT)
    lines = [] if weight is None else [f"weight {rounded_signed(weight)}"]
    users = prototypes.summary["users"]
    if weight is None and users is not None:
        lines = [f"{rounded_signed(value)} {class_name(index, prototypes.classes)}" for index, value in users[unit]]
    for number, line in enumerate(lines):
        page.text(_MARGIN, y + 32 + 15 * number, line, _LEFT - 10, 8.5, FADED)
