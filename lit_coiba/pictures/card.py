"""A card: one explanation as a picture, for people: image, map and overlay, class, probability and id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.transforms import Transform
from lit_coiba.pictures.names import Names
from lit_coiba.pictures.numbers import percent, spoken
from lit_coiba.pictures.order import Predicted, predicted
from lit_coiba.pictures.outline import outlined
from lit_coiba.pictures.page import ALERT, FADED, Page, fitted
from lit_coiba.pictures.painting import painted, painted_over
from lit_coiba.pictures.scale import Scale
from lit_coiba.store import Row

SIDE = 160  # pixels, of the longer side of a panel
PANELS = ("image", "map", "overlay")
ENLARGED = 3.0  # factor from which on a card says how small the picture is
CUT = 0.5  # share of a picture below which a card says how much of it is shown

_GAP = 4  # between panels
_CAPTION = 36  # height of the text above them
_GUTTER = 16  # between cards


class Unreadable(Exception):
    """The image of an explanation cannot be read any more."""


class Card(NamedTuple):
    """One explanation, ready to be drawn."""

    row: Row
    panels: list[Tensor]  # image, map and overlay, (3, h, w) uint8
    scale: Scale  # of the colors
    outlined: bool  # whether there is a line around the object
    kept: float  # share of the picture that the model's crop keeps
    note: str  # what else has to be said about the picture; mostly nothing


def card_of(
    row: Row, dataset: ImageDataset, index: int, transform: Transform, scale: Scale | None = None, outline: bool = True
) -> Card:
    """The card of an explanation.

    Args:
        row: The explanation.
        dataset: The images.
        index: Number of the image that was explained.
        transform: Transform that made the image model input.
        scale: What the colors stand for; None = the map's own scale.
        outline: Whether to draw a line around the object where the data know it.

    Raises:
        Unreadable: The image cannot be read.
    """
    try:
        image = dataset.image(index)
        pixels = transform.pixels(image)
        region = dataset.region(index) if outline else None
        where = None if region is None else transform.region(region)
    except Exception as error:  # whatever a user's dataset raises
        raise Unreadable(f"{row.id}: {error}") from error
    resized, crop = transform.resized(image.height, image.width), transform.preprocessing.size
    kept = min(resized[0], crop[0]) * min(resized[1], crop[1]) / (resized[0] * resized[1])
    note = ""
    if min(resized[0] / image.height, resized[1] / image.width) > ENLARGED:
        note = f"from {image.width} x {image.height} pixels"
    elif kept < CUT:
        note = f"{percent(kept)} of the picture"
    card = card_of_pixels(row, pixels, scale)
    image_panel, colored, overlay = card.panels
    drawn = [outlined(image_panel, where), colored, outlined(overlay, where)]
    return card._replace(panels=drawn, outlined=where is not None and bool(where.any()), kept=kept, note=note)


def card_of_pixels(row: Row, pixels: Tensor, scale: Scale | None = None) -> Card:
    """The card of an explanation whose picture is at hand.

    Args:
        row: The explanation.
        pixels: What the model sees, ``(3, H, W)`` uint8.
        scale: What the colors stand for; None = the map's own scale.
    """
    scale = Scale.of(row.map) if scale is None else scale
    size = _panel_size((pixels.shape[1], pixels.shape[2]))
    if pixels.shape[1] < size[0]:  # a small picture is enlarged first, so that its heat is smooth
        pixels = fitted(pixels, size)
    colored = painted(row.map, (pixels.shape[1], pixels.shape[2]), scale)
    panels = [fitted(panel, size) for panel in (pixels, colored, painted_over(pixels, row.map, scale))]
    return Card(row, panels, scale, False, 1.0, "")


def card_size(preprocessing: Preprocessing) -> tuple[int, int]:
    """Width and height of a card in pixels."""
    height, width = _panel_size(preprocessing.size)
    return len(PANELS) * (width + _GAP) - _GAP, _CAPTION + height


def draw_card(page: Page, card: Card, names: Names, x: int, y: int, always: bool = True) -> None:
    """Draw a card with its top left corner at (x, y).

    Args:
        page: Page to draw on.
        card: The explanation.
        names: What classes and labels are called.
        x: Horizontal position in pixels.
        y: Vertical position in pixels.
        always: Whether what is explained is always what the model predicts.
    """
    width = card.panels[0].shape[2]
    found = predicted(card.row, always)
    _write_caption(page, card, names, found, x, y, len(card.panels) * (width + _GAP) - _GAP)
    for place, panel in enumerate(card.panels):
        page.picture(x + place * (width + _GAP), y + _CAPTION, panel)


def cards_picture(cards: Sequence[Card], names: Names, always: bool = True) -> Tensor:
    """Cards of one size on a white page of their own, ``(3, h, w)`` uint8, two beside each other where they are many.

    Args:
        cards: The explanations, at least one.
        names: What classes and labels are called.
        always: Whether what is explained is always what the model predicts.
    """
    columns = 1 if len(cards) <= 3 else 2
    height, width = cards[0].panels[0].shape[1:]
    width = len(PANELS) * (width + _GAP) - _GAP
    height += _CAPTION
    rows = -(-len(cards) // columns)
    page = Page(columns * (width + _GUTTER) - _GUTTER, rows * (height + _GUTTER) - _GUTTER)
    for number, card in enumerate(cards):
        draw_card(
            page, card, names, number % columns * (width + _GUTTER), number // columns * (height + _GUTTER), always
        )
    return page.pixels()


def _panel_size(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a panel: the model's input, its longer side being `SIDE`."""
    height, width = size
    longer = max(height, width)
    return max(1, round(SIDE * height / longer)), max(1, round(SIDE * width / longer))


def _write_caption(page: Page, card: Card, names: Names, found: Predicted, x: int, y: int, width: int) -> None:
    """Two lines: what is explained and the scale; the sample, and what the label or the prediction is instead.

    A name is bold if the model predicts it.
    """
    row, right = card.row, x + width
    unit = " bits" if "bits" in row.extras else ""
    peak = page.text(right, y + 12, spoken(card.scale, unit), size=8, color=FADED, align="right")
    named = page.text(x, y + 12, names.target(row.target), width - peak - 60, bold=found.cls == row.target)
    page.text(x + named, y + 12, f"  {percent(row.probability)}")
    wrong = names.wrong(row.label, found.cls if found.cls >= 0 else row.target)
    others = []
    if found.cls not in (-1, row.target):
        others.append(f"predicted: {names.target(found.cls)} {percent(found.probability)}")
    told = names.same and row.label == row.target  # the label is what is explained
    if row.label >= 0 and wrong is not False and (wrong or not names.same) and not told:
        others.append(f"label: {names.label(row.label)}")
    color = ALERT if wrong else FADED
    taken = 0.0
    if text := ", ".join(others):
        taken = page.text(right, y + 27, text, 0.6 * width, 8, color, align="right") + 10
    noted = page.text(x, y + 27, card.note, width - taken, 8, FADED, bold=True) + 8 if card.note else 0.0
    page.text(x + noted, y + 27, row.id, max(0.0, width - taken - noted), 8, FADED, keep="end")
