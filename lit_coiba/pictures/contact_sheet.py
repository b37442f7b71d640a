"""A contact sheet: some images of a store with their maps, to see at a glance whether they make sense."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.transforms import Transform
from lit_coiba.pictures.card import PANELS, Card, Unreadable, card_of, card_size, draw_card
from lit_coiba.pictures.overlay import heat, zero_scale
from lit_coiba.pictures.page import FADED, Page
from lit_coiba.store import ExplanationStore

_GUTTER, _MARGIN = 26, 24  # between cards, around everything
_HEADER, _BELOW = 76, 18  # heights: top of the page, space below a card
_BAR = (160, 10)  # width and height of the color scale


def contact_sheet(
    store: ExplanationStore,
    dataset: ImageDataset,
    preprocessing: Preprocessing,
    file: str | Path,
    count: int = 24,
    named: bool = True,
) -> Path:
    """Draw some explanations of a store, evenly spaced over its rows, as a PNG.

    Each has the image as the model saw it, the map from 0 to its own full scale (the maximum, see `full_scale`) and the
    map over the gray image; with the class that is explained, its probability, the label where that is another class,
    and the sample's id. Samples that cannot be read are left out.

    Args:
        store: The explanations.
        dataset: The images that were explained.
        preprocessing: Recipe by which they became model input.
        file: File to write.
        count: Number of explanations to draw, at most.
        named: Whether the dataset's classes are those of the model; else classes are numbers, and no label is shown.

    Returns:
        The file.
    """
    cards = list(_cards(store, dataset, Transform(preprocessing), count))
    columns = 1 if len(cards) <= 3 else 2 if len(cards) <= 12 else 3
    rows = max(1, math.ceil(len(cards) / columns))
    card_width, height = card_size(preprocessing)
    card_height = height + _BELOW
    page = Page(
        max(2 * _MARGIN + columns * (card_width + _GUTTER) - _GUTTER, 680),
        _HEADER + rows * card_height + _MARGIN - _BELOW,
    )
    _write_header(page, store, cards)
    if not cards:
        page.text(_MARGIN, _HEADER + 20, "There is no explanation to show.", color=FADED)
    for number, card in enumerate(cards):
        x = _MARGIN + number % columns * (card_width + _GUTTER)
        y = _HEADER + number // columns * card_height
        draw_card(page, card, dataset.classes if named else None, x, y)
    return page.save(file)


def _cards(store: ExplanationStore, dataset: ImageDataset, transform: Transform, count: int) -> Iterator[Card]:
    """Evenly spaced rows of the store with their panels; one map in memory at a time."""
    keys = store.keys()
    count = min(count, len(keys))
    for sample, target in (keys[i * len(keys) // count] for i in range(count)):
        index = bisect_left(dataset.ids, sample)
        if index == len(dataset.ids) or dataset.ids[index] != sample:
            continue
        with suppress(Unreadable):
            yield card_of(store[sample, target], dataset, index, transform)


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
    page.text(left, 50, _lowest([card.row.map for card in cards]), size=8.5, color=FADED)
    page.text(right, 50, "full scale", size=8.5, color=FADED, align="right")


def _lowest(maps: list[Tensor]) -> str:
    """What the dark end of the bar stands for."""
    if any(zero_scale(map) for map in maps):
        return "lowest"
    return "0 and below" if any(bool((map < 0).any()) for map in maps) else "0"
