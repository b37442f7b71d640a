"""A contact sheet: some images of a store with their maps, to see at a glance whether they make sense."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

import torch

from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.transforms import Transform
from lit_coiba.lipschitz.certifying import RADIUS
from lit_coiba.lipschitz.decisions import UNIT, rounded_down
from lit_coiba.pictures.about import About, explains_predictions, method_name, rule, settings
from lit_coiba.pictures.card import PANELS, Card, Unreadable, card_of, card_size, draw_card
from lit_coiba.pictures.names import Names
from lit_coiba.pictures.numbers import percent, rounded
from lit_coiba.pictures.order import WORDS, Key, Order, choose
from lit_coiba.pictures.page import ALERT, FADED, Page
from lit_coiba.pictures.painting import colors
from lit_coiba.pictures.scale import Scale
from lit_coiba.store import ExplanationStore
from lit_coiba.store.radii import has_radii

_GUTTER, _MARGIN = 26, 24  # between cards, around everything
_HEADER, _BELOW = 112, 18  # heights: top of the page, space below a card
_BAR = (160, 10)  # width and height of a color scale


def contact_sheet(
    store: ExplanationStore,
    dataset: ImageDataset,
    preprocessing: Preprocessing,
    file: str | Path,
    count: int = 24,
    order: Order = "spread",
    common_scale: bool = False,
    about: About | None = None,
    note: str = "",
) -> Path:
    """Draw some explanations of a store as a PNG.

    Each has the image as the model saw it, the map in colors up to its maximum (see `Scale`) and the map over the gray
    image; the class that is explained, bold if the model predicts it, with its probability; the label and the
    prediction where they are others; the certified radius where the store has radii; the object's box or outline where
    the data know it; and the sample's id. Samples that cannot be read are left out.

    Args:
        store: The explanations.
        dataset: The images that were explained.
        preprocessing: Recipe by which they became model input.
        file: File to write.
        count: Number of explanations to draw, at most.
        order: ``spread``: evenly spaced over the rows; ``wrong_first``; ``least_certain_first``.
        common_scale: Whether all maps are drawn on one scale; otherwise each is drawn up to its own maximum.
        about: Model and class names; None = the dataset's class names, of a model that is not known.
        note: Text that is kept in the file's metadata.

    Returns:
        The file.

    Raises:
        InputError: There is no such order.
    """
    about = About(Names(dataset.classes, dataset.classes)) if about is None else about
    keys = choose(store, count, order, about.names)
    scale = Scale.common(store[key].map for key in keys) if common_scale else None
    cards = list(_cards(store, dataset, Transform(preprocessing), keys, scale))
    columns = 1 if len(cards) <= 3 else 2 if len(cards) <= 12 else 3
    rows = max(1, math.ceil(len(cards) / columns))
    card_width, height = card_size(preprocessing)
    card_height = height + _BELOW
    page = Page(
        max(2 * _MARGIN + columns * (card_width + _GUTTER) - _GUTTER, 760),
        _HEADER + rows * card_height + _MARGIN - _BELOW,
    )
    _write_header(page, store, cards, about, order, scale)
    if not cards:
        page.text(_MARGIN, _HEADER + 20, "There is no explanation to show.", color=FADED)
    always = explains_predictions(store.manifest)
    for number, card in enumerate(cards):
        x = _MARGIN + number % columns * (card_width + _GUTTER)
        y = _HEADER + number // columns * card_height
        draw_card(page, card, about.names, x, y, always)
    return page.save(file, note)


def _cards(
    store: ExplanationStore, dataset: ImageDataset, transform: Transform, keys: Sequence[Key], scale: Scale | None
) -> Iterator[Card]:
    """Rows of the store with their panels; one map in memory at a time."""
    certified = has_radii(store.manifest)
    for sample, target in keys:
        index = bisect_left(dataset.ids, sample)
        if index == len(dataset.ids) or dataset.ids[index] != sample:
            continue
        with suppress(Unreadable):
            card = card_of(store[sample, target], dataset, index, transform, scale)
            if certified:
                told = f"radius {rounded_down(float(card.row.extras[RADIUS]))}"
                card = card._replace(note=f"{told}, {card.note}" if card.note else told)
            yield card


def _write_header(
    page: Page, store: ExplanationStore, cards: Sequence[Card], about: About, order: Order, scale: Scale | None
) -> None:
    """Method, model and what is explained; what is shown; what the colors stand for."""
    total, failed = len(store), len(store.failures())
    right = page.width - _MARGIN
    left = right - _BAR[0]
    room = left - 2 * _MARGIN
    named = page.text(_MARGIN, 32, method_name(store.manifest), room, 15, bold=True)
    page.text(_MARGIN + named + 10, 32, settings(store.manifest, about.defaults), room - named - 10, 9.5)
    drawn = date.today().isoformat()
    explained = rule(store.manifest)
    facts = [about.model, f"explained: {explained}" if explained else "", f"drawn {drawn}"]
    told = page.text(_MARGIN, 51, ";  ".join(fact for fact in facts if fact), room, 9)
    if about.random_weights:
        page.text(_MARGIN + told + 10, 51, "RANDOM WEIGHTS: these maps mean nothing", room - told - 10, 9, ALERT, True)
    chosen = f", {WORDS[order]}" if len(cards) < total or order != "spread" else ""
    shown = f"{len(cards)} of {total:,} explanations{chosen}" + (f"; {failed:,} failed" if failed else "")
    page.text(
        _MARGIN, 69, f"{shown}. Each: {', '.join(PANELS)}.{_crop(cards)}{_line(cards)}{_radii(store)}", room, 9, FADED
    )
    page.text(_MARGIN, 86, _colored(cards, scale), page.width - 2 * _MARGIN, 9, FADED)
    _draw_bars(page, cards, left, right, scale)


def _crop(cards: Sequence[Card]) -> str:
    """How much of the pictures is shown."""
    if not cards or min(card.kept for card in cards) >= 0.995:
        return ""
    least, most = (percent(end(card.kept for card in cards)) for end in (min, max))
    return f" Shown is the model's crop: {least if least == most else f'{least} to {most}'} of a picture."


def _line(cards: Sequence[Card]) -> str:
    return " Green: the object, from the data." if any(card.outlined for card in cards) else ""


def _radii(store: ExplanationStore) -> str:
    return f" Radius: within it ({UNIT}) the prediction is certified." if has_radii(store.manifest) else ""


def _colored(cards: Sequence[Card], scale: Scale | None) -> str:
    """What a color, and the number above a map, stand for."""
    unit = " bits" if any("bits" in card.row.extras for card in cards) else ""
    if scale is not None:
        return f"One scale for all maps, up to {rounded(scale.high)}{unit}: equal colors stand for equal values."
    return (
        f"The number above a map is its largest value{' (bits of one place, not their sum)' if unit else ''}. Each map"
        " is colored up to its own: brightness does not compare between images."
    )


def _draw_bars(page: Page, cards: Sequence[Card], left: int, right: int, scale: Scale | None) -> None:
    """A color scale for maps that are not negative, and one for those that have two signs, as needed."""
    signs = {card.scale.signed for card in cards} or {False}
    highest = "full scale" if scale is None else rounded(scale.high)
    for place, signed in enumerate(sorted(signs)):
        y = 18 + 34 * place
        ramp = torch.linspace(-1.0 if signed else 0.0, 1, _BAR[0]).expand(_BAR[1], -1)
        page.picture(left, y, colors(ramp, signed))
        lowest = "against" if signed else "lowest" if any(card.scale.low for card in cards) else "0"
        page.text(left, y + 22, lowest, size=8.5, color=FADED)
        page.text(right, y + 22, f"for, {highest}" if signed else highest, size=8.5, color=FADED, align="right")
