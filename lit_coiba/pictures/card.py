"""A card: one explanation as a picture, for people: image, map and overlay, class, probability and id."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.transforms import Transform
from lit_coiba.pictures.overlay import enlarged, full_scale, heat, overlay, zero_scale
from lit_coiba.pictures.page import ALERT, FADED, Page, fitted
from lit_coiba.store import Row

SIDE = 160  # pixels, of the longer side of a panel
PANELS = ("image", "map", "overlay")

_GAP = 4  # between panels
_CAPTION = 36  # height of the text above them


class Unreadable(Exception):
    """The image of an explanation cannot be read any more."""


class Card(NamedTuple):
    """One explanation, ready to be drawn."""

    row: Row
    panels: list[Tensor]  # image, map and overlay, (3, h, w) uint8


def card_of(row: Row, dataset: ImageDataset, index: int, transform: Transform) -> Card:
    """The card of an explanation.

    Args:
        row: The explanation.
        dataset: The images.
        index: Number of the image that was explained.
        transform: Transform that made the image model input.

    Raises:
        Unreadable: The image cannot be read.
    """
    try:
        pixels = transform.pixels(dataset.image(index))
    except Exception as error:  # whatever a user's dataset raises
        raise Unreadable(f"{row.id}: {error}") from error
    size = _panel_size(transform.preprocessing)
    if pixels.shape[1] < size[0]:  # a small picture is enlarged first, so that its heat is smooth
        pixels = fitted(pixels, size)
    colored = heat(enlarged(row.map, (pixels.shape[1], pixels.shape[2])))
    return Card(row, [fitted(panel, size) for panel in (pixels, colored, overlay(pixels, row.map))])


def card_size(preprocessing: Preprocessing) -> tuple[int, int]:
    """Width and height of a card in pixels."""
    height, width = _panel_size(preprocessing)
    return len(PANELS) * (width + _GAP) - _GAP, _CAPTION + height


def draw_card(page: Page, card: Card, classes: list[str] | None, x: int, y: int) -> None:
    """Draw a card with its top left corner at (x, y).

    Args:
        page: Page to draw on.
        card: The explanation.
        classes: Class names; empty = unknown, None = those of the labels are not those of the model.
        x: Horizontal position in pixels.
        y: Vertical position in pixels.
    """
    width = card.panels[0].shape[2]
    _write_caption(page, card.row, classes, x, y, len(card.panels) * (width + _GAP) - _GAP)
    for place, panel in enumerate(card.panels):
        page.picture(x + place * (width + _GAP), y + _CAPTION, panel)


def card_picture(card: Card, classes: list[str] | None) -> Tensor:
    """A card on a white page of its own, ``(3, h, w)`` uint8."""
    height, width = card.panels[0].shape[1:]
    page = Page(len(card.panels) * (width + _GAP) - _GAP, _CAPTION + height)
    draw_card(page, card, classes, 0, 0)
    return page.pixels()


def _panel_size(preprocessing: Preprocessing) -> tuple[int, int]:
    """Height and width of a panel: the model's input, its longer side being `SIDE`."""
    height, width = preprocessing.size
    longer = max(height, width)
    return max(1, round(SIDE * height / longer)), max(1, round(SIDE * width / longer))


def _write_caption(page: Page, row: Row, classes: list[str] | None, x: int, y: int, width: int) -> None:
    right, unit = x + width, " bits" if "bits" in row.extras else ""
    low = zero_scale(row.map)
    shown = f"{rounded(low)} to" if low else "full scale"
    scale = f"{shown} {rounded(full_scale(row.map))}{unit}"
    peak = page.text(right, y + 12, scale, size=8, color=FADED, align="right")
    share = f"  {percent(row.probability)}"
    room = width - peak - 60
    named = page.text(x, y + 12, class_name(row.target, classes), room, bold=True)
    page.text(x + named, y + 12, share)
    wrong = 0.0
    if classes is not None and row.label not in (-1, row.target):
        label = f"label: {class_name(row.label, classes)}"
        wrong = page.text(right, y + 27, label, 0.55 * width, 8, ALERT, align="right") + 10
    page.text(x, y + 27, row.id, width - wrong, 8, FADED, keep="end")


def class_name(index: int, classes: list[str] | None) -> str:
    """The name of a class, or its number."""
    classes = classes or []
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
