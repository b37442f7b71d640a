"""A decision as a picture: these patches of the image look like those of the training images, and add so much."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.transforms import Transform
from lit_coiba.pictures.card import Card, Unreadable, card_of
from lit_coiba.pictures.names import Names
from lit_coiba.pictures.numbers import percent, rounded_signed
from lit_coiba.pictures.page import ALERT, FADED, Page, fitted
from lit_coiba.pictures.page_folder import page_folder
from lit_coiba.pictures.prototype_page import FRAME, SIDE, draw_patch, framed
from lit_coiba.prototypes import Prototypes
from lit_coiba.prototypes.patches import Box, around, cell_box, cut
from lit_coiba.store import ExplanationStore, Row

DECISIONS = 12  # that are drawn of a store
ROWS = 5  # units of a decision

_GAP, _MARGIN, _WHOLE, _HEADER, _STEP = 6, 24, 224, 74, SIDE + 26
_ARROW, _TEXT = 84, 200  # widths: between a patch and its prototypes, and of what it adds
_FOR = "#1b6e3c"


def draw_decisions(
    store: ExplanationStore,
    dataset: ImageDataset,
    preprocessing: Preprocessing,
    prototypes: Prototypes,
    folder: Path,
    names: Names | None = None,
    count: int = DECISIONS,
) -> list[Path]:
    """Draw some decisions of a store that `HeadAttribution` made with prototypes, evenly spaced, one PNG each.

    Args:
        store: The explanations.
        dataset: The images.
        preprocessing: Recipe by which they became model input.
        prototypes: What the units look like.
        folder: Folder to write; what an earlier call drew is replaced. It appears when all of them are drawn.
        names: Names of classes and labels; None = those of the dataset.
        count: Number of decisions to draw, at most.

    Returns:
        The files.

    Raises:
        InputError: Pictures of others have names of pages in the folder.
    """
    keys, transform, files = store.keys(), Transform(preprocessing), list[Path]()
    count = min(count, len(keys))
    with page_folder(folder) as drawn:
        for number, (sample, target) in enumerate(keys[k * len(keys) // count] for k in range(count)):
            index = bisect_left(dataset.ids, sample)
            if index < len(dataset.ids) and dataset.ids[index] == sample:
                with suppress(Unreadable):
                    page = decision(store[sample, target], dataset, index, transform, prototypes, names)
                    files.append(folder / page.save(drawn / f"{number:02d}.png").name)
    return files


def decision(
    row: Row,
    dataset: ImageDataset,
    index: int,
    transform: Transform,
    prototypes: Prototypes,
    names: Names | None = None,
) -> Page:
    """One decision.

    Left the image and where the evidence for the class is; right the units that add or take most, in rows: the patch of
    the image where the unit is strongest, the training patches it looks like, and what the unit adds to the logit.

    Args:
        row: An explanation by `HeadAttribution` with prototypes.
        dataset: The images.
        index: Number of the image.
        transform: Transform that made the image model input.
        prototypes: What the units look like.
        names: Names of classes and labels; None = those of the dataset.

    Raises:
        Unreadable: The image cannot be read.
    """
    card = card_of(row, dataset, index, transform, outline=False)
    pixels, _, evidence = card.panels
    picture = transform.pixels(dataset.image(index))
    names = Names(dataset.classes, dataset.classes) if names is None else names
    name = names.target(row.target)
    shown = min(ROWS, len(row.extras["units"]))
    patches = row.extras["looks_like"].shape[1]
    left = _MARGIN + _WHOLE + _MARGIN
    width = left + SIDE + _ARROW + patches * (SIDE + _GAP) + _TEXT
    page = Page(width, _HEADER + max(shown * _STEP, 2 * (_WHOLE + 20)) + 40)
    end = page.text(_MARGIN, 34, f"Why {name}?", 0.7 * width, 15, bold=True)
    end += 12 + page.text(_MARGIN + end + 12, 34, percent(row.probability), size=12)
    page.text(_MARGIN, 56, f"image {row.id}", _WHOLE, 9, FADED, keep="end")
    if names.wrong(row.label, row.target):
        page.text(_MARGIN + end + 16, 34, f"label: {names.label(row.label)}", width - 2 * _MARGIN - end - 16, 10, ALERT)
    adds = left + SIDE + _ARROW + patches * (SIDE + _GAP) + 8
    headings = ((left, "this image"), (left + SIDE + _ARROW, "training patches"), (adds, "adds to the logit"))
    for x, heading in headings:
        page.text(x, _HEADER - 8, heading, size=8.5, color=FADED)
    for place, (panel, about) in enumerate(((pixels, "the image"), (evidence, _evidence(card, name)))):
        page.picture(_MARGIN, _HEADER + place * (_WHOLE + 20), fitted(panel, (_WHOLE, _WHOLE)))
        page.text(_MARGIN, _HEADER + place * (_WHOLE + 20) + _WHOLE + 13, about, _WHOLE, 8.5, FADED)
    for number in range(shown):
        _draw_unit(page, row, number, picture, prototypes, name, left, _HEADER + number * _STEP)
    _write_sum(page, row, shown, prototypes.units, left, page.height - 22)
    return page


def _evidence(card: Card, name: str) -> str:
    return "red: for the class, blue: against it" if card.scale.signed else f"evidence for {name}"


def _draw_unit(
    page: Page, row: Row, number: int, picture: Tensor, prototypes: Prototypes, name: str, x: int, y: int
) -> None:
    """One unit: patch, prototypes, and what it adds."""
    value = row.extras["contributions"][number].item()
    size = (picture.shape[1], picture.shape[2])
    box = peak_box(row.extras["unit_maps"][number], size)
    window = around(box, size)
    inner = Box(box.top - window.top, box.left - window.left, box.bottom - window.top, box.right - window.left)
    looks_like = [prototypes[k] for k in row.extras["looks_like"][number].tolist() if k >= 0]
    side = looks_like[0].side if looks_like else 1
    page.picture(x, y, framed(cut(picture, window), inner, SIDE, FRAME[side]))
    # A head of one side has no prototypes for a unit that is negative here.
    said = ("looks like", "\N{RIGHTWARDS ARROW}") if looks_like else ("is negative", "here")
    for line, text in enumerate(said):
        page.text(x + SIDE + _ARROW / 2, y + SIDE / 2 + 16 * line, text, align="center", size=9, color=FADED)
    x += SIDE + _ARROW
    for place, patch in enumerate(patch for patch in looks_like if patch.crop is not None):
        draw_patch(page, patch, prototypes.classes, x + place * (SIDE + _GAP), y)
    x += row.extras["looks_like"].shape[1] * (SIDE + _GAP) + 8
    page.text(x, y + SIDE / 2 - 2, rounded_signed(value), _TEXT - 20, 15, _FOR if value >= 0 else ALERT, bold=True)
    page.text(x, y + SIDE / 2 + 16, f"for {name}", _TEXT - 20, 9)
    page.text(x, y + SIDE / 2 + 32, f"unit {int(row.extras['units'][number])}", _TEXT - 20, 8.5, FADED)


def _write_sum(page: Page, row: Row, shown: int, units: int, x: int, y: int) -> None:
    """How what is shown adds up to the logit."""
    parts = row.extras["contributions"][:shown].sum().item()
    total, bias = row.extras["total"].item(), row.extras["bias"].item()
    others = units - shown
    terms: Sequence[str] = [
        f"these {shown} units {rounded_signed(parts)}",
        *([f"the other {others} {rounded_signed(total - parts)}"] if others else []),
        *([f"bias {rounded_signed(bias)}"] if bias else []),
    ]
    page.text(x, y, f"{'  '.join(terms)}  =  logit {rounded_signed(total + bias)}", page.width - x - _MARGIN, 10)


def peak_box(values: Tensor, size: tuple[int, int]) -> Box:
    """The cell of a map ``(h, w)`` where it is largest, in pixels of a picture of this size.

    Example:
        >>> import torch
        >>> peak_box(torch.tensor([[0.0, 1.0], [0.0, 0.0]]), (64, 64))
        Box(top=0, left=32, bottom=32, right=64)
    """
    return cell_box(int(values.flatten().argmax()), (values.shape[0], values.shape[1]), size)
