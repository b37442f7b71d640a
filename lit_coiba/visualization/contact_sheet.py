"""A contact sheet: some images of a store with their maps, to see at a glance whether they make sense."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.contracts import Preprocessing
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.transforms import Transform
from lit_coiba.store import ExplanationStore, Row
from lit_coiba.visualization.overlay import enlarged, full_scale, heat, overlay
from lit_coiba.visualization.page import ALERT, FADED, Page, fitted

SIDE = 160  # pixels, of the longer side of a panel
PANELS = ("image", "map", "overlay")

_GAP, _GUTTER, _MARGIN = 4, 26, 24  # between panels, between cards, around everything
_HEADER, _CAPTION, _BELOW = 76, 36, 18  # heights: top of the page, text above a card's panels, space below them
_BAR = (160, 10)  # width and height of the colour scale


class Card(NamedTuple):
    """One explanation, ready to be drawn."""

    row: Row
    panels: list[Tensor]  # image, map and overlay, (3, h, w) uint8


def contact_sheet(
    store: ExplanationStore, dataset: ImageDataset, preprocessing: Preprocessing, file: str | Path, count: int = 24
) -> Path:
    """Draw some explanations of a store, evenly spaced over its rows, as a PNG.

    Each has the image as the model saw it, the map from 0 to its own full scale (the maximum, see `full_scale`) and the
    map over the grey image; with the class that is explained, its probability, the label where that is another class,
    and the sample's id. Samples that cannot be read are left out.

    Args:
        store: The explanations.
        dataset: The images that were explained.
        preprocessing: How they became model input.
        file: Where to write.
        count: How many to draw, at most.

    Returns:
        The file.
    """
    cards = list(_cards(store, dataset, Transform(preprocessing), count))
    height, width = _panel_size(preprocessing)
    columns = 1 if len(cards) <= 3 else 2 if len(cards) <= 12 else 3
    rows = max(1, math.ceil(len(cards) / columns))
    card_width, card_height = len(PANELS) * (width + _GAP) - _GAP, _CAPTION + height + _BELOW
    page = Page(
        max(2 * _MARGIN + columns * (card_width + _GUTTER) - _GUTTER, 680),
        _HEADER + rows * card_height + _MARGIN - _BELOW,
    )
    _write_header(page, store, cards)
    if not cards:
        page.text(_MARGIN, _HEADER + 20, "There is no explanation to show.", colour=FADED)
    for number, card in enumerate(cards):
        x = _MARGIN + number % columns * (card_width + _GUTTER)
        y = _HEADER + number // columns * card_height
        _write_caption(page, card.row, dataset.classes, x, y, card_width)
        for place, panel in enumerate(card.panels):
            page.picture(x + place * (width + _GAP), y + _CAPTION, panel)
    return page.save(file)


def _cards(store: ExplanationStore, dataset: ImageDataset, transform: Transform, count: int) -> Iterator[Card]:
    """Evenly spaced rows of the store with their panels; one map in memory at a time."""
    keys = store.keys()
    count = min(count, len(keys))
    size = _panel_size(transform.preprocessing)
    for sample, target in (keys[i * len(keys) // count] for i in range(count)):
        index = bisect_left(dataset.ids, sample)
        if index == len(dataset.ids) or dataset.ids[index] != sample:
            continue
        try:
            pixels = transform.pixels(dataset.image(index))
        except Exception:  # whatever a user's dataset raises: it was recorded when the sample was explained
            continue
        row = store[sample, target]
        if pixels.shape[1] < size[0]:  # a small picture is enlarged first, so that its heat is smooth
            pixels = fitted(pixels, size)
        coloured = heat(enlarged(row.map, (pixels.shape[1], pixels.shape[2])))
        panels = [fitted(panel, size) for panel in (pixels, coloured, overlay(pixels, row.map))]
        yield Card(row, panels)


def _panel_size(preprocessing: Preprocessing) -> tuple[int, int]:
    """Height and width of a panel: the model's input, its longer side being `SIDE`."""
    height, width = preprocessing.size
    longer = max(height, width)
    return max(1, round(SIDE * height / longer)), max(1, round(SIDE * width / longer))


def _write_header(page: Page, store: ExplanationStore, cards: list[Card]) -> None:
    method = str(store.manifest.identity.get("method", {}).get("class", "Explanations"))
    total, failed = len(store), len(store.failures())
    spread = ", evenly spaced" if len(cards) < total else ""
    shown = f"{len(cards)} of {total:,} explanations{spread}" + (f"; {failed:,} failed" if failed else "")
    right = page.width - _MARGIN
    left = right - _BAR[0]
    page.text(_MARGIN, 32, method, left - 2 * _MARGIN, 15, bold=True)
    page.text(_MARGIN, 52, f"{shown}. Each: {', '.join(PANELS)}.", left - 2 * _MARGIN, 9, FADED)
    page.picture(left, 22, heat(torch.linspace(0, 1, _BAR[0]).expand(_BAR[1], -1)))
    page.text(left, 50, "0", size=8.5, colour=FADED)
    page.text(right, 50, "full scale", size=8.5, colour=FADED, align="right")


def _write_caption(page: Page, row: Row, classes: list[str], x: int, y: int, width: int) -> None:
    right, unit = x + width, " bits" if "bits" in row.extras else ""
    scale = f"full scale {rounded(full_scale(row.map))}{unit}"
    peak = page.text(right, y + 12, scale, size=8, colour=FADED, align="right")
    share = f"  {percent(row.probability)}"
    room = width - peak - 60
    named = page.text(x, y + 12, class_name(row.target, classes), room, bold=True)
    page.text(x + named, y + 12, share)
    wrong = 0.0
    if row.label not in (-1, row.target):
        label = f"label: {class_name(row.label, classes)}"
        wrong = page.text(right, y + 27, label, 0.55 * width, 8, ALERT, align="right") + 10
    page.text(x, y + 27, row.id, width - wrong, 8, FADED, keep="end")


def class_name(index: int, classes: list[str]) -> str:
    """The name of a class, or its number."""
    return classes[index] if 0 <= index < len(classes) and classes[index].strip() else f"class {index}"


def rounded(number: float) -> str:
    """A positive number to three digits.

    Example:
        >>> rounded(1184.2), rounded(12.34), rounded(0.0001234)
        ('1,180', '12.3', '0.000123')
    """
    return f"{float(f'{number:.3g}'):,.0f}" if 1000 <= number < 1e7 else f"{number:.3g}"


def percent(probability: float) -> str:
    """A probability with as many digits as one wants to read.

    Example:
        >>> percent(0.954), percent(0.034), percent(0.0001)
        ('95%', '3.4%', '<0.1%')
    """
    if not 0 <= probability <= 1:
        return "?"
    if probability < 0.001:
        return "<0.1%"
    return f"{probability:.0%}" if probability >= 0.0995 else f"{probability:.1%}"
